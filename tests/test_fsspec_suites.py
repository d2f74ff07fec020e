"""fsspec's own abstract suites, as the installed fsspec brings them, over our file system.

On the two stores that are servers of their own, SeaweedFS and Ceph. Its `mv` is a suite of loose
functions about local files: they run too, and what they ask is asked of us in test_vocabulary.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.tests import abstract
from fsspec.tests.abstract.mv import (  # noqa: F401 - tests
    test_move_raises_error_with_tmpdir,
    test_move_raises_error_with_tmpdir_permission,
)

from tests.conftest import asked_stores
from tests.fsspec_skips import SKIPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server

STORES = [name for name in asked_stores() if name in {"seaweedfs", "ceph"}]


@pytest.fixture(scope="session", params=STORES)
def store(request: pytest.FixtureRequest, server_named: Callable[[str], Server]) -> Server:
    return server_named(request.param)


@pytest.fixture(autouse=True)
def able(request: pytest.FixtureRequest) -> None:
    """The loose tests are about whether this user may write to a local folder."""
    name = getattr(request.function, "__name__", "")
    if request.cls is None and os.geteuid() == 0 and ("root", name) in SKIPS:
        pytest.skip(SKIPS["root", name])


class Ours(abstract.AbstractFixtures):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def fs(self, store: Server, request: pytest.FixtureRequest) -> Any:
        name = f"{type(self).__name__}.{request.function.__name__}"
        reason = SKIPS.get((store.name, name))
        if reason is not None:
            pytest.skip(reason)
        return fsspec.filesystem("s3stream", skip_instance_cache=True, **store.storage_options())

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *names: "/".join(names)

    @pytest.fixture
    def fs_path(self, bucket: str, key: str) -> str:
        return f"{bucket}/{key}"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(Ours, abstract.AbstractCopyTests):  # type: ignore[misc]  # fsspec has no types
    pass


class TestGet(Ours, abstract.AbstractGetTests):  # type: ignore[misc]  # fsspec has no types
    pass


class TestOpen(Ours, abstract.AbstractOpenTests):  # type: ignore[misc]  # fsspec has no types
    pass


class TestPipe(Ours, abstract.AbstractPipeTests):  # type: ignore[misc]  # fsspec has no types
    pass


class TestPut(Ours, abstract.AbstractPutTests):  # type: ignore[misc]  # fsspec has no types
    pass


def test_nothing_of_the_installed_suites_is_left_out() -> None:
    here = dict(globals())
    run = {base for value in here.values() if inspect.isclass(value) for base in value.__mro__}
    suites = set()
    loose = set()
    for module in pkgutil.walk_packages(abstract.__path__, "fsspec.tests.abstract."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and any(n.startswith("test") for n in vars(value)):
                suites.add(value)
            elif name.startswith("test") and inspect.isfunction(value):
                loose.add(value)
    assert len(suites) >= 5
    assert suites - run == set()
    assert loose - {value for value in here.values() if inspect.isfunction(value)} == set()


def test_the_skips_are_few_and_name_tests_that_there_are() -> None:
    assert len(SKIPS) == 7
    for where, name in SKIPS:
        assert where in {"seaweedfs", "ceph", "root"}
        suite, _, test = name.rpartition(".")
        assert callable(getattr(globals()[suite], test) if suite else globals()[test])
