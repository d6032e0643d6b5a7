"""Tested building blocks for a practical clustering course.

Ground
    ``inputs`` reads and checks data, ``fixtures`` makes the course's own data from seeds,
    ``weighted`` turns rows into distinct rows and their counts.
Shared
    ``selection`` weighs the evidence on the number of clusters, ``stability`` asks whether
    clusters come back, ``figures`` draws, ``export`` writes results.
Chapters
    ``segmentation`` finds and names customer segments.
Course
    ``course`` runs the notebooks and builds the site; nothing imports it.
"""
