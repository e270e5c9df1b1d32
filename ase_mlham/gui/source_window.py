"""Where the Hamiltonian comes from: the file's own, an installed model, or a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase_mlham.gui.source import Hamiltonians
from ase_mlham.hooks import registered

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["SourceWindow"]

DEVICES = ("auto", "cpu", "cuda")


class SourceWindow:
    """Asks for the source; a model is loaded at once, so that a wrong one is noticed here.

    Parameters
    ----------
    electronics : Electronics
        Whose source it is.
    """

    def __init__(self, electronics: Electronics) -> None:
        import tkinter as tk
        from tkinter import ttk

        from ase.gui import ui

        self.electronics = electronics
        self.window = ui.Window("Source of the Hamiltonian")
        win = self.window.win
        frame = ttk.Frame(win, padding=10)
        frame.pack(fill="both", expand=True)
        hamiltonians = electronics.hamiltonians
        self._model = hamiltonians.model
        chosen = "" if self._model is None else str(self._model)
        self.choice = tk.StringVar(win, value=chosen)
        default = Hamiltonians().model_name
        entries = [("", f"the file's own, where it has one; else the model {default}")]
        entries += [
            (name, f"model {name}: {spec.description}")
            for name, spec in registered("model").items()
        ]
        if chosen not in dict(entries):
            entries.append((chosen, f"model {hamiltonians.model_name}"))
        for value, text in entries:
            ttk.Radiobutton(
                frame, text=text, value=value, variable=self.choice, command=self.apply
            ).pack(anchor="w", pady=1)
        row = ttk.Frame(frame)
        row.pack(fill="x", pady=(6, 2))
        ttk.Button(row, text="Model file ...", command=self.browse).pack(side="left")
        ttk.Label(row, text="device").pack(side="left", padx=(14, 3))
        self.device = ttk.Combobox(row, values=DEVICES, width=7)
        self.device.set(hamiltonians.device)
        self.device.pack(side="left")
        self.device.bind("<<ComboboxSelected>>", lambda event: self.apply())
        self.outside = tk.BooleanVar(win, value=hamiltonians.on_unknown == "warn")
        ttk.Checkbutton(
            frame,
            text="predict even where the model was not trained (distances); results say so",
            variable=self.outside,
            command=self.apply,
        ).pack(anchor="w", pady=2)
        self.state = ttk.Label(frame, text="")
        self.state.pack(anchor="w", pady=(4, 0))

    def browse(self) -> None:
        """Ask for a model file."""
        from tkinter import filedialog

        name = filedialog.askopenfilename(
            parent=self.window.win,
            title="Model file",
            filetypes=[("models", "*.mlham"), ("all files", "*")],
        )
        if name:
            self.use(name)

    def use(self, model: str) -> None:
        """Choose a model by name or file; "" for the file's own Hamiltonian."""
        self.choice.set(model)
        self.apply()

    def apply(self) -> None:
        """Take what is chosen, after its model was loaded."""
        electronics, name = self.electronics, self.choice.get()
        # a model that is no file is known by the object only
        model = self._model if name == str(self._model) else name or None
        wanted = Hamiltonians(
            model,
            device=self.device.get() or "auto",
            on_unknown="warn" if self.outside.get() else "error",
        )
        if model is None:
            self._take(wanted)
            return
        self._say("loading ...")

        def work(tell: Any) -> Any:
            return wanted.model_calculator().model

        electronics.run(
            f"loading {wanted.model_name}",
            work,
            lambda loaded: self._take(wanted),
            failed=self._refused,
            slot="source",
        )

    def _take(self, wanted: Any) -> None:
        self.electronics.hamiltonians = wanted
        self._say("")
        self.electronics.source_changed()

    def _refused(self) -> None:
        if self.window.exists:
            model = self.electronics.hamiltonians.model
            self.choice.set("" if model is None else str(model))
        self._say("not usable: see the message")

    def _say(self, text: str) -> None:
        if self.window.exists:
            self.state.configure(text=text)

    def close(self) -> None:
        """Close the window."""
        if self.window.exists:
            self.window.close()
