"""Small texts for tests."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = ("anna", "bob", "carl", "dora", "sees", "likes", "cats", "dogs", "and", "birds")


def write_text(folder: Path, lines: int = 120, seed: int = 0) -> Path:
    """Writes a text whose next word depends on the two before it, and returns its folder."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", lines), ("valid", max(12, lines // 4)), ("test", max(12, lines // 4))):
        sentences = []
        for _ in range(count):
            words = [rng.randrange(4), rng.randrange(10)]
            while rng.random() < 0.7:
                words.append((words[-1] + words[-2] + rng.randrange(2)) % len(WORDS))
            sentences.append(" ".join(WORDS[word] for word in words))
        (folder / f"{name}.txt").write_text("\n".join(sentences) + "\n")
    return folder
