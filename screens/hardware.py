"""Step 2: what this machine has, what that means, what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content

from tui_ft.hardware.describe import gpu_label, short_name
from tui_ft.hardware.facts import Gpu, Hardware
from tui_ft.text import count, gib, percent

from . import keys, price
from .ink import MUTED, STRONG, columns, facts, hang, ink, join, mark, prose
from .page import Page, in_thread
from .widgets.bar import level
from .widgets.lines import Lines


class HardwarePage(Page):
    """Shows the machine; asks what it costs."""

    place = "hardware"
    BINDINGS = keys.bindings("hardware")

    def body(self) -> ComposeResult:
        """Everything in one text."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        return "tui-ft gpus"

    def on_mount(self) -> None:
        """Show what is known; look when nothing is."""
        self.focus_body()
        if self.draft.hardware is None:
            self.action_look()
        else:
            self._show()

    def redraw(self) -> None:
        """The header's look may come in while this page is open."""
        super().redraw()
        if self.draft.hardware is not None:
            self._show()

    def _show(self) -> None:
        hardware = self.draft.hardware
        assert hardware is not None
        dollars = self.draft.price
        self.query_one("#facts", Lines).show(lambda width: describe(hardware, dollars, width))

    def action_look(self) -> None:
        """Read everything again."""
        self.start(self._look(), "Looking at this machine")

    async def _look(self) -> None:
        from tui_ft.hardware.detect import detect

        home = self.shell.home
        hardware = await in_thread(lambda: detect(home))
        self.shell.change(plan=None)
        price.learn(self.shell, hardware)

    def action_price(self) -> None:
        """Ask what an hour costs."""
        price.ask(self.shell)

    def action_next(self) -> None:
        """On to the model."""
        if self.draft.hardware is not None:
            self.shell.finish_step(1, "model" if self.draft.model_id else "pick-model")


def describe(hardware: Hardware, dollars: float, width: int) -> list[Content]:
    """The whole page as text."""
    lines = [
        Content(""),
        *hang("", ink(_headline(hardware), STRONG), width),
        *hang("", ink(_meaning(hardware), MUTED), width),
        Content(""),
    ]
    if hardware.gpus:
        lines += [*_gpu_lines(hardware), Content("")]
    lines += facts(_host_rows(hardware, dollars), width)
    for notice in hardware.notices:
        lines += [Content(""), *hang(join(mark(notice.severity), " "), prose(notice.what), width)]
        if notice.fix:
            lines += hang("  ", prose(notice.fix, MUTED), width)
    return lines


def _host_rows(hardware: Hardware, dollars: float) -> list[tuple[str, Content | str]]:
    host = hardware.host
    limited = ", the container's limit" if host.ram_limited_by_container else ""
    rows: list[tuple[str, Content | str]] = [
        ("processor", f"{host.cpu}, {count(host.cores, 'core')}{', fast bf16' if host.cpu_bf16 else ''}"),
        ("memory", f"{gib(host.ram_available_bytes)} free of {gib(host.ram_total_bytes)}{limited}"),
    ]
    for i, mount in enumerate(host.mounts):
        space = f"{gib(mount.free_bytes)} free of {gib(mount.total_bytes)}"
        uses = ink(f"   {mount.path}: {', '.join(mount.uses)}", MUTED)
        rows.append(("disk" if i == 0 else "", join(space, uses)))
    torch = hardware.torch.version if hardware.torch else "not installed"
    driver = f", driver {hardware.driver}" if hardware.driver else ""
    rows.append(("software", f"PyTorch {torch}{driver}"))
    given = (
        ink(f"${dollars:,.2f} per hour") if dollars else ink("not given; p to say what an hour costs", MUTED)
    )
    return [*rows, ("price", given)]


def _headline(hardware: Hardware) -> str:
    gpus = hardware.usable_gpus
    if not gpus:
        return "A run will use the processor: there is no GPU that can be used."
    if len(gpus) == 1:
        return f"A run will use the {short_name(gpus[0].name)}."
    return f"{len(gpus)} GPUs can be used; a run takes one of them."


def _meaning(hardware: Hardware) -> str:
    if hardware.usable_gpus:
        return "What fits into its free memory decides the method; the plan works that out."
    return "Enough for small models such as the demo's 135M. Larger ones take hours or days here."


def _gpu_lines(hardware: Hardware) -> list[Content]:
    usable = {gpu.id for gpu in hardware.usable_gpus}
    rows: list[list[Content | str]] = []
    for gpu in hardware.gpus:
        used = gpu.total_bytes - gpu.free_bytes if gpu.total_bytes and gpu.free_bytes is not None else None
        share = used / gpu.total_bytes if used is not None and gpu.total_bytes else None
        state = "" if gpu.id in usable else "hidden" if not gpu.visible else "not usable"
        rows.append(
            [
                ink(gpu_label(gpu).lower(), MUTED),
                ink(short_name(gpu.name), STRONG),
                level(share, 12),
                f"{gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}",
                ink(state or _abilities(gpu), "$warn" if state else MUTED),
            ]
        )
        rows += [
            ["", "", "", ink(f"{p.name or 'a process'} ({p.pid}) holds {gib(p.memory_bytes)}", MUTED)]
            for p in gpu.processes
        ]
        gauges = [
            f"{percent(gpu.utilisation)} busy" if gpu.utilisation is not None else "",
            f"{gpu.temperature_c} °C" if gpu.temperature_c is not None else "",
            f"{gpu.power_w:.0f} W" if gpu.power_w is not None else "",
        ]
        if any(gauges):
            rows.append(["", "", "", ink(" · ".join(filter(None, gauges)), MUTED)])
    return columns(rows, gap=2, widths=(9,))


def _abilities(gpu: Gpu) -> str:
    if gpu.bf16 is None:
        return "number types unknown"
    return "bf16, fp8" if gpu.fp8 else "bf16" if gpu.bf16 else "fp16 only"
