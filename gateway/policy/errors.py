"""Errors of the policy.

SealGateError
└── Invalid
    └── BadParameter       a parameter that is unknown, of the wrong kind, or outside its bounds
"""

from gateway.errors import Invalid
from gateway.principal import Text


class BadParameter(Invalid):
    """A proposed parameter value cannot be taken; `field` is its key."""

    code = "BAD_PARAMETER"

    def __init__(self, key: str, wanted: str) -> None:
        super().__init__(
            key, Text(f"参数 {key} 的值不可用：{wanted}", f"Parameter {key} cannot take this value: {wanted}")
        )
