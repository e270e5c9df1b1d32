"""What this distribution adds. Keep this module light: every `mlham` command imports it.

The code itself is named as "module:attribute" and imported when it is used.
"""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, FormatSpec, hookimpl


@hookimpl
def mlham_formats() -> list[FormatSpec]:
    """A text format, one line a block."""
    return [
        FormatSpec(
            name="hopping-text",
            description="H(R) and S(R) as text, one line a block",
            patterns=("*.hop",),
            sniff="mlham_template.hopping_text:sniff",
            read="mlham_template.hopping_text:read",
            write="mlham_template.hopping_text:write",
            holds=frozenset({"none", "overlap", "fermi_level"}),
        )
    ]


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """A network of two-centre terms, the smallest that obeys all symmetries."""
    return [
        FamilySpec(
            name="two-centre",
            description="blocks from the vector between the two atoms alone (Slater and Koster)",
            config="mlham_template.two_centre:TwoCentreConfig",
            module="mlham_template.two_centre:TwoCentre",
            presets={"tiny": {"n_radial": 6, "width": 16}},
        )
    ]
