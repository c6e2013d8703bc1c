"""The one door to data: what comes in is a frame of any engine and any size, what goes on is plain numpy.

A frame in memory is a pandas or polars DataFrame, a pyarrow Table or RecordBatch, a dict of equally long arrays, or a
numpy array of records. Every column becomes a `Column`: its logical kind, its values as a numpy array, and which of
them are null. Logical kinds, never storage dtypes, are what the rest of the package compares: an Arrow-backed and a
numpy-backed integer are both "int".

Data that do not fit into memory come as pieces, frames one after the other: iterables of frames, lazy and streaming
sources, partitions on a cluster. `pieces` hands them out, `summarise` adds up what a function says of each, wherever
the rows are, and `fingerprint`, `sample`, `names`, `select` and `drop` take any of them.

Engines that are not known here are reached through one that is:

- Ray: `dataset.iter_batches(batch_format="pyarrow")`, an iterable of tables;
- Modin: `frame.modin.to_pandas()`; cuDF: `frame.to_arrow()`; an array: `dict(zip(names, array.T))`.
"""

from mlopskit.frames.content import add_fingerprints as add_fingerprints
from mlopskit.frames.content import content_of as content_of
from mlopskit.frames.content import fingerprint_of as fingerprint_of
from mlopskit.frames.content import hashes as hashes
from mlopskit.frames.content import row_hashes as row_hashes
from mlopskit.frames.engines import Batches as Batches
from mlopskit.frames.ids import days as days
from mlopskit.frames.ids import factorized as factorized
from mlopskit.frames.ids import groups as groups
from mlopskit.frames.ids import key as key
from mlopskit.frames.ids import keys as keys
from mlopskit.frames.ids import repeated as repeated
from mlopskit.frames.ids import utc as utc
from mlopskit.frames.packing import pack as pack
from mlopskit.frames.packing import unpack as unpack
from mlopskit.frames.parquet import from_parquet as from_parquet
from mlopskit.frames.parquet import to_parquet as to_parquet
from mlopskit.frames.reading import NUMERIC as NUMERIC
from mlopskit.frames.reading import Column as Column
from mlopskit.frames.reading import Frame as Frame
from mlopskit.frames.reading import Kind as Kind
from mlopskit.frames.reading import column as column
from mlopskit.frames.reading import infinite as infinite
from mlopskit.frames.reading import of_kind as of_kind
from mlopskit.frames.reading import restore as restore
from mlopskit.frames.reading import stamp as stamp
from mlopskit.frames.sources import accumulate as accumulate
from mlopskit.frames.sources import drop as drop
from mlopskit.frames.sources import fingerprint as fingerprint
from mlopskit.frames.sources import names as names
from mlopskit.frames.sources import pieces as pieces
from mlopskit.frames.sources import sample as sample
from mlopskit.frames.sources import select as select
from mlopskit.frames.sources import summarise as summarise
from mlopskit.frames.tables import cells as cells
from mlopskit.frames.tables import columns as columns
from mlopskit.frames.tables import concat as concat
from mlopskit.frames.tables import each as each
from mlopskit.frames.tables import is_frame as is_frame
from mlopskit.frames.tables import n_rows as n_rows
from mlopskit.frames.tables import shallow as shallow
from mlopskit.frames.tables import take as take
from mlopskit.frames.tables import to_pandas as to_pandas
from mlopskit.frames.tables import values_of as values_of
