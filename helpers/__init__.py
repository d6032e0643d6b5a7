"""Tested building blocks for a practical clustering course.

Ground
    ``inputs`` reads and checks data (``tables`` is how), ``fixtures`` makes the course's own data
    from seeds, ``order_lines`` leaves in an engine what memory does not hold, ``weighted`` turns
    rows into distinct rows and their counts, ``playbook`` reads what to do, ``text`` and ``files``
    write for people and to disk, ``engine`` opens databases, ``figure_data`` reads the numbers that
    a figure draws.
Shared
    ``selection`` weighs the evidence on the number of clusters, ``stability`` asks whether
    clusters come back, ``density`` is DBSCAN in little memory, ``figures`` and
    ``pictures`` draw, ``export`` writes results.
Chapters
    ``segmentation`` finds and names customer segments, ``anomalies`` ranks unusual flows,
    ``quantization`` chooses palettes, ``scale`` clusters more customers than memory holds,
    ``spark`` speaks to Apache Spark, where it is installed.
Measurement
    ``measurement`` says what the ways of the chapters on scale cost, in seconds and memory.
    ``measurement`` measures what clustering at growing sizes costs.
Course
    ``course`` runs the notebooks and builds the site; nothing imports it.
"""

import warnings

# Where PySpark is installed, pandera imports it, and it warns whoever has pandas 3. What the course
# asks of PySpark does not go through pandas.
warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
