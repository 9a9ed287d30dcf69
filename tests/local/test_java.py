"""What a machine lacks is named, with the package that holds it; a broken fetch leaves nothing."""

from pathlib import Path

import pytest

from domain.errors import Malformed, Unavailable
from services.local.brokers import Brokers
from services.local.java import jars


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


@pytest.mark.usefixtures("empty_path")
def test_without_java_the_package_to_install_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="apt-get install openjdk-17-jre-headless"):
        Brokers(tmp_path / "kafka").start()
    assert not (tmp_path / "kafka").exists()


@pytest.mark.usefixtures("empty_path")
def test_without_maven_the_package_to_install_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="apt-get install maven"):
        jars({}, root=tmp_path)


def test_a_broken_fetch_leaves_no_jars(empty_path: Path, tmp_path: Path) -> None:
    # given
    mvn = empty_path / "mvn"
    mvn.write_text("""#!/bin/sh
for word in "$@"; do
  case $word in -DoutputDirectory=*) folder=${word#*=}; esac
done
/bin/mkdir "$folder"
echo half > "$folder/kafka_2.13.jar"
exit 1
""")
    mvn.chmod(0o700)
    # when
    with pytest.raises(Unavailable, match="LOCAL_FETCH"):
        jars({}, root=tmp_path)
    # then
    assert [f.name for f in (tmp_path / ".kafka").iterdir()] == ["fetch.log"]


def test_a_home_without_jars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="NRM_KAFKA_HOME"):
        jars({"NRM_KAFKA_HOME": str(tmp_path)})


@pytest.mark.parametrize("nodes", [0, 2, 4])
def test_a_cluster_has_one_node_or_three(nodes: int, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="LOCAL_NODES"):
        Brokers(tmp_path, nodes)
