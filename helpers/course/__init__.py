"""
The course regenerates itself: notebooks in, executed notebooks and a finished site out.

``parameters`` reads what a chapter may be asked to do, ``execute`` runs it, ``edition`` reads an
instructor's choices, ``site`` builds the book from them, ``cli`` is the command ``course``.
"""
