"""What those who use the control socket are told when the parts of the daemon say no."""

from typing import Final

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.instance import InstanceFailed
from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.encapsulation import Encapsulation
from varpd.provider.errors import (
    NotLive,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
    ProviderError,
    TargetInvalid,
    Unsupported,
)
from varpd.store.base import StoreError

REFUSALS: Final = (ProviderError, InstanceFailed, DatapathError, TargetInvalid, StoreError)
"""What `refusal` has words for."""

_DATAPATH: Final = {
    DatapathErrorCode.UNSUPPORTED: ErrorCode.UNSUPPORTED,
    DatapathErrorCode.PERMISSION: ErrorCode.FAILED,
    DatapathErrorCode.NAME_TAKEN: ErrorCode.CONFLICT,
    DatapathErrorCode.VNETID_TAKEN: ErrorCode.CONFLICT,
    DatapathErrorCode.PORT_IN_USE: ErrorCode.CONFLICT,
    DatapathErrorCode.NO_SUCH_ADDRESS: ErrorCode.INVALID,
    DatapathErrorCode.PUNT_PATH_CLOSED: ErrorCode.FAILED,
    DatapathErrorCode.FAILED: ErrorCode.FAILED,
}


def refusal(
    exc: ProviderError | InstanceFailed | DatapathError | TargetInvalid | StoreError,
    encapsulation: Encapsulation | None = None,
) -> ControlError:
    """Return `exc` as the control socket says it.

    Args:
        exc: what a part of the daemon raised.
        encapsulation: that of the overlay, for the names of its properties.
    """
    field: str | None = None
    match exc:
        case PropertyMissing():
            code, field = ErrorCode.MISSING, next(iter(exc.names), None)
        case PropertyUnknown() | PropertyInvalid():
            code, field = ErrorCode.INVALID, exc.name
        case NotLive():
            code, field = ErrorCode.NOT_LIVE, exc.name
        case Unsupported():
            code = ErrorCode.UNSUPPORTED
        case TargetInvalid():
            code, field = ErrorCode.INVALID, "target"
        case DatapathError():
            code = _DATAPATH[exc.code]
            if exc.code is DatapathErrorCode.NO_SUCH_ADDRESS and encapsulation is not None:
                field = f"{encapsulation.name}/listen_ip"
        case _:
            code = ErrorCode.FAILED
    return ControlError(code, str(exc) or type(exc).__name__, field)
