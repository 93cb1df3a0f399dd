"""The checks that every codec makes."""

import pytest

from varpd.net import fields
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import check_range, check_size


@pytest.mark.parametrize("bits", [3, 8, 12, 13, 16, 20, 24, 32])
def test_a_maximum_is_a_field_full_of_ones(bits: int) -> None:
    assert f"{getattr(fields, f'UINT{bits}_MAX'):b}" == "1" * bits


@pytest.mark.parametrize("value", [0, 1, 4095])
def test_a_number_that_fits_is_let_through(value: int) -> None:
    check_range("VID", value, 4095)


@pytest.mark.parametrize("value", [-1, 4096])
def test_a_number_that_does_not_fit_is_refused_by_the_name_of_its_field(value: int) -> None:
    with pytest.raises(ValueError, match=f"VID out of range 0 to 4095: {value}"):
        check_range("VID", value, 4095)


@pytest.mark.parametrize("data", [b"1234", b"12345"])
def test_enough_data_is_let_through(data: bytes) -> None:
    check_size("header", data, 4)


def test_too_little_data_is_truncated() -> None:
    with pytest.raises(DecodeError, match="header needs 4 bytes, got 3") as caught:
        check_size("header", b"123", 4)
    assert caught.value.reason == Reason.TRUNCATED
