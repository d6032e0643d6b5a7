"""
The course regenerates itself: notebooks in, executed notebooks and a finished site out.

``parameters`` reads what a chapter may be asked to do, ``execute`` runs it, ``edition`` reads an
instructor's choices, ``draft`` begins a new edition, ``check`` looks for faults in one with the
``guards`` of its chapters, ``needs`` knows what not everybody has, ``fetch`` gets public data sets,
``site`` builds the book, ``kernel`` and ``figure_files`` give its figures their data, ``monitor``
watches a saved model, ``cli`` is the command ``course``.
"""
