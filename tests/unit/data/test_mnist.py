import gzip
import hashlib
import shutil
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
import torch
import truth

from cnnlab.data import mnist as data


def test_mnist_is_whole_and_scaled_like_totensor(mnist):
    whole = data.load()
    assert whole.train_images.shape == (60_000, 1, 28, 28)
    assert whole.test_images.shape == (10_000, 1, 28, 28)
    assert whole.train_images.dtype == torch.float32
    assert (whole.train_images.min(), whole.train_images.max()) == (0, 1)
    assert whole.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert whole.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.slow
def test_who_comes_second_waits_for_what_another_decodes(lab_home, monkeypatch):
    (lab_home / "mnist.safetensors").unlink()
    read, decode = data._read_decoded, data._decode_archives
    looks, decoded, both_have_looked = count(), [], threading.Barrier(2)

    def look(*arguments):
        found = read(*arguments)
        if next(looks) < 2:
            both_have_looked.wait()
        return found

    monkeypatch.setattr(data, "_read_decoded", look)
    monkeypatch.setattr(data, "_decode_archives", lambda: decoded.append(decode()) or decoded[-1])
    with ThreadPoolExecutor(2) as two:
        first, second = two.map(lambda _: data.load(), range(2))
    assert len(decoded) == 1
    assert torch.equal(first.train_images, second.train_images)


@pytest.mark.slow
def test_a_damaged_decoded_file_is_made_again(lab_home):
    decoded = lab_home / "mnist.safetensors"
    decoded.unlink()
    decoded.write_bytes(b"half of something")
    assert len(data.load().train_labels) == 60_000
    assert decoded.stat().st_size > 50_000_000
    assert {path.name for path in lab_home.iterdir()} == {"mnist.safetensors", ".mnist.lock", "kernels"}


@pytest.mark.slow
@pytest.mark.parametrize("place", [200, -30_000_000, -1])
def test_one_changed_byte_of_the_decoded_file_is_found_out(place, lab_home):
    decoded = lab_home / "mnist.safetensors"
    whole = bytearray(decoded.read_bytes())
    decoded.unlink()
    whole[place] ^= 4
    decoded.write_bytes(whole)
    loaded = data.load(train_images_as_bytes=True)
    assert loaded.train_labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.test_labels.max() == 9
    whole[place] ^= 4
    assert decoded.read_bytes() == whole


@pytest.fixture
def own_archives(tmp_path, lab_home, monkeypatch):
    """A copy of the archives that a test may damage, with mirrors that do not answer."""
    archives = tmp_path / "archives"
    shutil.copytree(data.ARCHIVES, archives)
    monkeypatch.setattr(data, "ARCHIVES", archives)
    monkeypatch.setattr(data.import_torchvision().datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    (lab_home / "mnist.safetensors").unlink()
    return archives


@pytest.mark.slow
def test_a_damaged_archive_is_named(own_archives):
    archive = own_archives / "t10k-labels-idx1-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:-7])
    with pytest.raises(data.DataError, match=r"t10k-labels-idx1-ubyte\.gz is damaged.*git checkout"):
        data.load()


def test_a_missing_archive_is_named_when_the_mirrors_do_not_answer(own_archives, lab_home):
    (own_archives / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(data.DataError, match=r"train-images-idx3-ubyte\.gz is missing"):
        data.load()
    assert sorted(path.name for path in lab_home.iterdir()) == [".mnist.lock", "kernels"]


def test_torchvision_is_given_the_archives_which_are_gone_afterwards(lab_home):
    with data.torchvision_root() as root:
        given = {path.name: path.read_bytes() for path in (root / "MNIST" / "raw").iterdir()}
        assert given == {path.name: path.read_bytes() for path in data.ARCHIVES.glob("*.gz")} != {}
    assert not root.exists()


def test_a_folder_for_torchvision_that_is_gone_already_is_none_to_remove():
    with data.torchvision_root() as root:
        shutil.rmtree(root)


def test_a_folder_for_torchvision_is_made_in_a_home_that_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_HOME", str(tmp_path / "some" / "new" / "home"))
    with data.torchvision_root() as root:
        assert root.parent == tmp_path / "some" / "new" / "home"


def test_every_archive_says_of_itself_the_shape_that_it_is_read_with():
    for name, shape in data._ARCHIVES.values():
        with gzip.open(data.ARCHIVES / name) as archive:
            assert archive.read(4) == bytes([0, 0, 8, len(shape)])  # 8 stands for bytes
            assert struct.unpack(f">{len(shape)}I", archive.read(4 * len(shape))) == shape


@pytest.fixture
def only_test_set(monkeypatch):
    """MNIST without its training set, which takes a second to decode."""
    for name in ("_ARCHIVES", "_SUMS"):
        whole = getattr(data, name)
        monkeypatch.setattr(data, name, {each: whole[each] for each in ("test_images", "test_labels")})


@pytest.mark.usefixtures("only_test_set")
def test_whole_archives_are_decoded_without_torchvision_in_a_home_that_is_not_there_yet(tmp_path, monkeypatch):
    def import_torchvision():
        raise AssertionError("it takes a second and memory for good")

    monkeypatch.setattr(data, "import_torchvision", import_torchvision)
    home = tmp_path / "some" / "new" / "home"
    monkeypatch.setenv("CNNLAB_HOME", str(home))
    images, labels = data.load_test_set()
    true_images, true_labels = truth.images_and_labels()
    np.testing.assert_array_equal(images[:, 0].numpy(), true_images.astype(np.float32))
    assert labels.tolist() == true_labels.tolist()
    assert data._read_decoded(home / "mnist.safetensors", ["test_images", "test_labels"]) is not None


def test_the_test_set_is_read_once():
    assert data.load_test_set()[0] is data.load_test_set()[0]


def test_torchvision_reads_the_archives_as_the_lab_does(own_archives, monkeypatch):
    resources, written = [], {}
    for number, (key, (name, shape)) in enumerate(data._ARCHIVES.items()):
        values = torch.arange(3 * (784 if len(shape) == 3 else 1)).add(number).remainder(10).byte()
        written[key] = values.reshape(3, *shape[1:])
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *written[key].shape)
        archive = gzip.compress(header + values.numpy().tobytes())
        (own_archives / name).write_bytes(archive)
        resources.append((name, hashlib.md5(archive).hexdigest()))
    monkeypatch.setattr(data.import_torchvision().datasets.MNIST, "resources", resources)
    decoded = data._decode_by_torchvision()
    assert decoded.keys() == written.keys()
    assert all(torch.equal(decoded[key], written[key]) and decoded[key].dtype == torch.uint8 for key in written)


def test_every_archive_that_is_wrong_is_named(own_archives):
    (own_archives / "train-labels-idx1-ubyte.gz").unlink()
    archive = own_archives / "t10k-images-idx3-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[1:])
    wrong = r"in .*archives, train-labels-idx1-ubyte\.gz is missing and t10k-images-idx3-ubyte\.gz is damaged, and"
    with pytest.raises(data.DataError, match=wrong), data.torchvision_root():
        raise RuntimeError


def test_archives_of_which_none_is_damaged_cannot_be_read():
    with pytest.raises(data.DataError, match=r"mnist, an archive cannot be read, and"), data.torchvision_root():
        raise RuntimeError
