"""What several tests of the loader share: a data set, its epochs, and a recorded order."""

import numpy as np

from tinytrain.data import Dataset

# Recorded with PyTorch 2.13: three epochs of DataLoader(range(10), batch_size=4, shuffle=True)
# without generator=, after torch.manual_seed(5).
RECORDED_DEFAULT_5 = [
    [[8, 3, 0, 5], [9, 1, 6, 2], [4, 7]],
    [[5, 8, 9, 7], [2, 0, 4, 1], [3, 6]],
    [[6, 5, 4, 0], [7, 2, 1, 8], [9, 3]],
]


def epoch(loader):
    return [np.asarray(batch).tolist() for batch in loader]


class Counting(Dataset[int]):
    """Remembers which samples were fetched."""

    def __init__(self, n):
        self.n = n
        self.fetched = []

    def __getitem__(self, index):
        self.fetched.append(index)
        return index

    def __len__(self):
        return self.n
