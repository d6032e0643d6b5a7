"""
Validated reading: a file is either read in full or refused with a message that helps.

How a file is read and checked stands in `helpers.tables`; here stands what it must hold.
"""

import textwrap
import warnings
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from PIL import Image, ImageOps, UnidentifiedImageError
from skimage import data
from sklearn.datasets import load_sample_image

from helpers.tables import (
    SHOWN,
    check_file,
    fault,
    first_lines,
    read_amounts,
    read_dates,
    read_ids,
    read_names,
    read_table,
)
from helpers.text import InputError

__all__ = [
    "SAMPLE_IMAGES",
    "InputError",
    "flow_columns",
    "image_file",
    "order_columns",
    "read_flows",
    "read_image",
    "read_orders",
]

LARGEST = 1e12  # a quantity, price or revenue beyond this is a slip; sums stay exact to the penny
LARGEST_FLOW = 1e15  # bytes, packets or seconds of one flow beyond this are a slip
MAX_PIXELS = 150_000_000  # the largest cameras have as many; a picture takes 8 bytes for each
STRIP = 1 << 20  # pixels converted together

# Photographs that scikit-learn and scikit-image bring along.
SAMPLE_IMAGES = ("china.jpg", "flower.jpg", "astronaut", "coffee", "chelsea", "rocket")


def _plausible(dates):
    """Whether each date lies between 1900 and the end of tomorrow."""
    tomorrow = pd.Timestamp.now().normalize() + pd.Timedelta(days=1)
    return (dates >= pd.Timestamp(1900, 1, 1)) & (dates < tomorrow + pd.Timedelta(days=1))


def _number(**options):
    """Return a column of finite numbers."""
    in_range = pa.Check.in_range(-LARGEST, LARGEST, error=f"a number within ±{LARGEST:,.0f}")
    return pa.Column(float, in_range, description="a number such as 1234.5", **options)


# Descriptions and errors complete the sentence "column ... needs ...".
ORDERS = pa.DataFrameSchema(
    {
        "customer_id": pa.Column(
            str,
            pa.Check(
                lambda ids: ids.notna().any(), ignore_na=False, error="at least one customer id"
            ),
            nullable=True,
        ),
        "order_id": pa.Column(str, description="an order id on every line"),
        "order_date": pa.Column(
            "datetime64[us]",
            pa.Check(_plausible, error="a date from 1900 to tomorrow"),
            description="a date, all written one way, best YYYY-MM-DD",
        ),
        "revenue": _number(
            required=False,
            metadata={"instead": "Columns for quantity and unit_price will do instead of revenue."},
        ),
        "quantity": _number(required=False),
        "unit_price": _number(required=False),
    }
)


def _amount(**options):
    """Return a column of numbers from 0 up, where none may be known."""
    in_range = pa.Check.in_range(
        0, LARGEST_FLOW, error=f"a number from 0 to {LARGEST_FLOW:,.0f}, or a blank"
    )
    return pa.Column(float, in_range, nullable=True, **options)


FLOWS = pa.DataFrameSchema(
    {
        "bytes_sent": _amount(),
        "bytes_received": _amount(),
        "duration": _amount(),
        "packets_sent": _amount(required=False),
        "packets_received": _amount(required=False),
        "ip_address": pa.Column(str, nullable=True, required=False),
        "timestamp": pa.Column(
            "datetime64[us]",
            pa.Check(_plausible, error="a date from 1900 to tomorrow"),
            description="a date with its time, all written one way, best YYYY-MM-DD HH:MM:SS",
            required=False,
        ),
        "label": pa.Column(str, nullable=True, required=False),
    }
)


def read_orders(path, *, columns=None):
    r"""
    Order lines from a CSV file, every one of them, checked.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.csv.gz`` file with a header: UTF-8, commas, decimal points. A compressed
        file may expand to 1 GB or to 100 times its size, whichever is more.
    columns : dict, optional
        The file's own name for a standard name, e.g. ``{"customer_id": "CustomerID"}``. The
        standard names are "customer_id", "order_id", "order_date", and either "revenue" or
        both "quantity" and "unit_price". A name left out stands for itself; without
        "order_date", "last_purchase_date" is read.

    Returns
    -------
    DataFrame of shape (n_lines, 4)
        "customer_id" and "order_id" (categories of text, without surrounding blanks), "order_date"
        (datetime64, without a time zone) and "revenue" (float, in the file's currency), in the
        file's order. An empty customer is missing. Returns are kept: a line whose quantity or
        price is zero or less has a revenue of zero or less. Dates with a time zone become UTC.

    Raises
    ------
    InputError
        If the file is not such a table: missing, damaged or not text; columns missing or named
        twice; lines with too many or too few fields; cells that are not the numbers, dates or
        ids they should be. Dates must all have one format; those that could be read day first
        and month first are refused, and so are dates before 1900 or after tomorrow.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "Client,order_id,order_date,quantity,unit_price\n007,A1,2024-01-31,3,1.5\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "orders.csv")
    ...     _ = path.write_text(text)
    ...     read_orders(path, columns={"customer_id": "Client"})
      customer_id order_id order_date  revenue
    0         007       A1 2024-01-31      4.5
    """
    path = Path(path)
    columns = _order_mapping(path, columns)
    read = {"customer_id": read_ids, "order_id": read_ids, "order_date": read_dates}
    table, names = read_table(path, ORDERS, columns, _order_names, read)

    if "revenue" not in table:
        signed = table["quantity"] * table["unit_price"]
        # Two negatives must not make a sale; subtracting from 0 spares the reader a -0.0.
        sale = (table["quantity"] > 0) & (table["unit_price"] > 0)
        table = table.assign(revenue=signed.where(sale, 0 - signed.abs()))
    if not (table["revenue"] > 0).any():
        amounts = [name for name in names if name not in read]
        own = " times ".join(repr(names[name]) for name in amounts)
        problem = f"none of the {len(table):,} lines has a revenue above 0 in {own}."
        raise fault(path, [f"{problem} Check that this is the right column, and its sign."])
    table = table[["customer_id", "order_id", "order_date", "revenue"]].reset_index(drop=True)
    # Each id stored once: a tenth of the memory, and grouping by it takes no comparing of text.
    return table.astype({"customer_id": "category", "order_id": "category"})


def order_columns(path, *, columns=None):
    """
    Columns that ``read_orders`` would read, by the beginning of the file alone.

    Parameters
    ----------
    path, columns
        As for ``read_orders``.

    Returns
    -------
    dict of str to str
        The file's own name of each column, by standard name.

    Raises
    ------
    InputError
        If the file does not begin as text, or its header lacks a column.
    """
    path = Path(path)
    columns = _order_mapping(path, columns)
    return read_names(path, ORDERS, columns, _order_names, whole=False)


def flow_columns(path, *, columns=None):
    """Columns that ``read_flows`` would read; see ``order_columns``."""
    return read_names(Path(path), FLOWS, dict(columns or {}), _flow_names, whole=False)


def read_flows(path, *, columns=None):
    r"""
    Network flows from a CSV file, every one of them, checked.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.csv.gz`` file with a header: UTF-8, commas, decimal points. A compressed
        file may expand to 1 GB or to 100 times its size, whichever is more.
    columns : dict, optional
        The file's own name for a standard name, e.g. ``{"bytes_sent": "src_bytes"}``. The standard
        names are "bytes_sent", "bytes_received" and "duration" (seconds), and, where the file has
        them, "packets_sent" with "packets_received", "ip_address" (of the source), "timestamp" and
        "label". A name left out stands for itself; an empty name leaves its column unread.

    Returns
    -------
    DataFrame of shape (n_flows, 3 to 8)
        The standard columns, in the order above and the file's order of rows: numbers as float,
        "timestamp" as datetime64 without a time zone (UTC if it had one), "ip_address" and "label"
        as categories of text. A cell that is blank, or "-", "NA", "NaN", "null" or the like, is
        missing.

    Raises
    ------
    InputError
        If the file is not such a table: see ``read_orders``. Numbers must be finite and not
        negative, and a direction without packets cannot have bytes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "src_bytes,bytes_received,duration,service\n120,4500,0.25,http\n60,-,0,dns\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "flows.csv")
    ...     _ = path.write_text(text)
    ...     read_flows(path, columns={"bytes_sent": "src_bytes"})
       bytes_sent  bytes_received  duration
    0       120.0          4500.0      0.25
    1        60.0             NaN      0.00
    """
    path = Path(path)
    read = {"ip_address": read_ids, "label": read_ids, "timestamp": read_dates}
    numbers = dict.fromkeys(FLOWS.columns.keys() - read.keys(), read_amounts)
    table, names = read_table(path, FLOWS, dict(columns or {}), _flow_names, numbers | read)
    for way in ("sent", "received"):
        packets, size = f"packets_{way}", f"bytes_{way}"
        bad = table.index[(table[packets] == 0) & (table[size] > 0)] if packets in table else []
        if len(bad):
            where = first_lines([f"line {line}" for line in bad[:SHOWN]], len(bad))
            problem = f"bytes in {names[size]!r} without a packet in {names[packets]!r}: {where}."
            remedy = f'Correct or remove them, or read no packets: columns={{"{packets}": ""}}.'
            raise fault(path, [f"{problem} {remedy}"])
    categories = {name: "category" for name in ("ip_address", "label") if name in table}
    return table.reset_index(drop=True).astype(categories)


def _flow_names(header, columns):
    """Return the file's own name of each column to read, by standard name."""
    names = {name: columns.get(name, name) for name in FLOWS.columns}
    packets = {"packets_sent", "packets_received"}
    absent = {
        name
        for name, column in FLOWS.columns.items()
        if not column.required and not columns.get(name) and (name in columns or name not in header)
    }
    if any(columns.get(name) for name in packets):
        absent -= packets
    elif absent & packets:  # one direction alone says little
        absent |= packets
    return {name: own for name, own in names.items() if name not in absent}


def _order_mapping(path, columns):
    """Return the names given for the columns, which may not say twice what revenue is."""
    columns = dict(columns or {})
    if "revenue" in columns and columns.keys() & {"quantity", "unit_price"}:
        raise fault(
            path, ["columns= gives revenue and also quantity or unit_price. Leave one out."]
        )
    return columns


def _order_names(header, columns):
    """Return the file's own name of each column to read, by standard name."""
    names = {name: columns.get(name, name) for name in ORDERS.columns}
    if "order_date" not in {*columns, *header} and "last_purchase_date" in header:
        names["order_date"] = "last_purchase_date"  # as in the tutorial this course began with
    parts = {"quantity", "unit_price"}
    whole = "revenue" in columns or ("revenue" in header and not parts & columns.keys())
    if not whole and parts & {*columns, *header}:
        del names["revenue"]
    else:
        del names["quantity"], names["unit_price"]
    return names


def read_image(path):
    """
    Pixels of an image file, or of a photograph that needs no file.

    Parameters
    ----------
    path : str or Path
        A file of any format that Pillow reads, of at most 150 megapixels. Text that is one of
        ``SAMPLE_IMAGES`` means that photograph, whatever lies in the folder; a file of such a
        name is given as "./china.jpg" or as a Path.

    Returns
    -------
    ndarray of uint8, of shape (height, width, 3) or (height, width, 4)
        Red, green, blue and, only where some pixel is not opaque, opacity. The picture is upright,
        as its EXIF orientation says. Of an animation or of several pages it is the first. Grey of
        16 bits is scaled and rounded to 8; colour of 16 bits is cut to 8 by Pillow. The numbers
        are those of the file: a colour profile is not applied.

    Raises
    ------
    InputError
        If the file is no such image: missing, damaged, cut short, too large, not an image, or with
        pixels that have no fixed white (32-bit numbers).

    Examples
    --------
    >>> read_image("china.jpg").shape
    (427, 640, 3)
    """
    if isinstance(path, str) and path in SAMPLE_IMAGES:
        with warnings.catch_warnings():
            # What scikit-image loads besides complains of a widget that nobody needs.
            warnings.simplefilter("ignore")
            shipped = load_sample_image(path) if path.endswith(".jpg") else getattr(data, path)()
        return shipped.copy()  # scikit-learn's cannot be written to
    path = Path(path)
    save = "Save it as PNG or JPEG."
    try:
        check_file(path, SAMPLE_IMAGES)
        if not path.stat().st_size:
            raise fault(path, ["the file is empty. Copy or download it again."])
        with path.open("rb") as file, warnings.catch_warnings():
            # What Pillow warns of is checked here, or does no harm to the pixels.
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                _check_image(path, image)
                image.load()
                # What of the EXIF data cannot be read or written again turns nothing.
                with suppress(Exception):
                    ImageOps.exif_transpose(image, in_place=True)
                return _pixels(image)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except UnidentifiedImageError:
        problem = "not an image of a kind that can be read, or cut short near its beginning."
        raise fault(path, [f"{problem} {save}"]) from None
    # Damage is met in as many ways as there are formats; all of them mean the same here.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            problem = f"cannot be read ({error.strerror}). Check its name and its permissions."
            raise fault(path, [problem]) from None
        reason = textwrap.shorten(str(error).rstrip("."), 200) or type(error).__name__
        problem = f"the image is damaged, cut short, or of a kind that cannot be read ({reason})."
        raise fault(path, [f"{problem} Copy or download it again. {save}"]) from None


def image_file(path):
    """
    Return the file behind what ``read_image`` takes: a photograph that ships is a file as well.

    Parameters
    ----------
    path : str or Path
        A file, or one of ``SAMPLE_IMAGES``.

    Returns
    -------
    Path

    Examples
    --------
    >>> image_file("china.jpg").stat().st_size
    196653
    """
    if not (isinstance(path, str) and path in SAMPLE_IMAGES):
        return Path(path)
    if path.endswith(".jpg"):
        return Path(str(resources.files("sklearn.datasets.images") / path))
    return next(Path(str(resources.files("skimage.data"))).glob(f"{path}.*g"))


def _check_image(path, image):
    """Refuse an image by what its header says."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(path)
    if not width * height:
        raise fault(path, ["the image has no pixels that can be read. Save it as PNG."])
    if image.format == "EPS":  # Pillow would have another program run it
        raise fault(path, ["this is a PostScript program, not pixels. Save it as PNG."])
    # Portable graymaps of 16 bits come as "I" too, with a white of 65,535.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        problem = "its pixels are numbers without a fixed white (32 bits, or with a sign)."
        raise fault(path, [f"{problem} Save it with 8 or 16 bits, as PNG."])


def _too_large(path):
    """Return the InputError for an image of too many pixels."""
    problem = f"the image has more than {MAX_PIXELS:,} pixels, or claims to."
    return fault(path, [f"{problem} Save it smaller if you trust it."])


def _pixels(image):
    """Return the pixels of a loaded image, converted strip by strip to save memory."""
    width, height = image.size
    mode = "RGBA" if image.has_transparency_data else "RGB"
    pixels = np.empty((height, width, len(mode)), np.uint8)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        wide = strip.mode.startswith("I")
        pixels[top : top + rows] = _grey(strip, image) if wide else np.asarray(strip.convert(mode))
    if mode == "RGBA" and (pixels[..., 3] == 255).all():
        image.close()
        return pixels[..., :3].copy()
    return pixels


def _grey(strip, image):
    """Return the pixels of a strip of an image in 16-bit grey, with opacity if it has any."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF: 258 are the bits of a pixel,
    white = 2 ** tags.get(258, (16,))[0] - 1
    levels = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    if tags.get(262) == 0:  # and 262 is 0 where the numbers begin with white
        levels = levels[::-1]
    numbers = np.asarray(strip)
    pixels = [levels[numbers]] * 3
    if "transparency" in image.info:
        pixels.append(np.uint8(255) * (numbers != image.info["transparency"]))
    return np.stack(pixels, axis=-1)
