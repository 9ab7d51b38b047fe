"""Tables of arrays that have a row for each source."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rows:
    """A dataclass whose fields are arrays, the first axis of all of them the same."""

    def select(self, which: NDArray[np.generic]) -> Self:
        """Some of the rows."""
        return type(self)(*(getattr(self, f.name)[which] for f in fields(self)))

    def replaced(self, which: NDArray[np.generic], other: Self) -> Self:
        """Some of the rows [N] by those of another one's."""
        columns = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, column in columns.items():
            column[which] = getattr(other, name)
        return type(self)(**columns)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several as one."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))
