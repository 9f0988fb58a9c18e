"""The theme of the app: Streamlit's options, and CSS for what they do not cover.

The CSS names no colour of text or ground: it mixes them from the theme's own, so that light and dark both work.
"""

from pathlib import Path

LOGO = Path(__file__).with_name("logo.svg")
MARK = Path(__file__).with_name("mark.svg")

COLOURS = ("#3f8f7a", "#d19a45", "#5f8fc4", "#b8627f", "#8fae5c", "#8878b8", "#45a9c0", "#c7754e", "#98a19c")
"""Colours of a chart's groups, the last for all others; they differ on light and on dark ground."""

OPTIONS: dict[str, object] = {
    "theme.primaryColor": "#2f6f5e",
    "theme.baseRadius": "0.5rem",
    "theme.showWidgetBorder": True,
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f5f6f4",
    "theme.light.textColor": "#1d2421",
    "theme.dark.primaryColor": "#6fbfa8",
    "theme.dark.backgroundColor": "#141817",
    "theme.dark.secondaryBackgroundColor": "#1e2422",
    "theme.dark.textColor": "#e4e9e6",
    "client.toolbarMode": "viewer",
    "browser.gatherUsageStats": False,
}  # fmt: skip
"""Options of Streamlit, by name: ``streamlit run`` takes them as flags, a server in process as settings."""

CSS = """<style>
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
[data-testid="stMainBlockContainer"] { max-width: 78rem; padding-top: 4.5rem; padding-bottom: 4rem; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; font-size: 1.75rem; }
.st-key-headline { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.st-key-headline > div { width: 100% !important; }
[data-testid="stHeading"] h3 { font-size: 1.15rem; padding: .75rem 0 .25rem; }
.tally { overflow-x: auto; font-size: .875rem; line-height: 1.4; }
.tally table { width: 100%; border-collapse: collapse; margin: 0; }
.tally th, .tally td {
  padding: .45rem .75rem .45rem 0; border: 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);
}
.tally th { font-weight: 500; opacity: .65; font-size: .8rem; }
.tally td, .tally a, .tally span { unicode-bidi: isolate; }
.tally td { font-variant-numeric: tabular-nums; }
.tally td:not(.wrap) { max-width: min(24rem, 45vw); overflow: hidden; text-overflow: ellipsis; }
.tally .legend span { max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.tally .right { text-align: right; }
.tally .right + :not(.right) { padding-left: 1rem; }
.tally .wrap { white-space: normal; overflow-wrap: anywhere; }
.tally .soft { opacity: .65; }
.tally .name { width: 14rem; opacity: .65; white-space: normal; overflow-wrap: anywhere; }
.tally td:last-child, .tally th:last-child { padding-right: 0; }
.tally tr:last-child td { border-bottom: 0; }
.tally tbody tr:hover { background: color-mix(in srgb, currentColor 4%, transparent); }
.tally a { color: inherit; text-decoration: underline; text-underline-offset: .2em;
  text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); }
.tally a:hover { text-decoration-color: currentColor; }
.tally code, .tally .id { font-family: "Source Code Pro", ui-monospace, monospace; font-size: .8rem; }
.tally.unknown { border-left: .25rem solid #d19a45; padding: .4rem .8rem; margin: .2rem 0; overflow-wrap: anywhere; }
.tally .bar { display: inline-block; width: 6rem; height: .5rem; border-radius: .25rem; vertical-align: middle;
  background: color-mix(in srgb, currentColor 10%, transparent); overflow: hidden; margin-right: .6rem; }
.tally .figure { display: inline-block; min-width: 3.4rem; text-align: right; }
.tally .bar i { display: block; height: 100%; background: #3f8f7a; }
.tally .bar.near i { background: #d19a45; }
.tally .bar.over i { background: #b8627f; }
.tally .bar.parts { display: inline-flex; width: 8rem; }
.tally .bar.parts i { flex: none; min-width: 1px; }
.tally .bar.parts .reserved { background: #d19a45; }
.tally .bar.parts .leased { background: #5f8fc4; }
.tally .figure.near { color: #b87f2a; font-weight: 600; }
.tally .figure.over { color: #b8627f; font-weight: 600; }
.tally .move { display: inline-block; position: relative; width: 5rem; height: .5rem; margin-left: .6rem;
  vertical-align: middle; background: linear-gradient(color-mix(in srgb, currentColor 40%, transparent) 0 0)
  center / 1px 100% no-repeat; }
.tally .move i { position: absolute; top: 0; height: 100%; min-width: 2px; }
.tally .move.rise i { left: 50%; background: #d19a45; border-radius: 0 .25rem .25rem 0; }
.tally .move.fall i { right: 50%; background: #5f8fc4; border-radius: .25rem 0 0 .25rem; }
.tally span.rise:not(.move) { color: #b87f2a; }
.tally span.fall:not(.move) { color: #5f8fc4; }
.tally.answer { font-size: 1rem; line-height: 1.5; overflow-wrap: anywhere; }
.tally .chips { display: flex; flex-wrap: wrap; gap: .3rem .5rem; }
.tally .chips span { padding: .2rem .6rem; border-radius: 1rem; max-width: 100%; overflow-wrap: anywhere;
  background: color-mix(in srgb, currentColor 8%, transparent); }
.tally .chips a { text-decoration: none; padding: 0 .2rem; }
.tally .spark { display: inline-flex; align-items: flex-end; width: 7.6rem; height: 1.5rem; vertical-align: middle;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.tally .spark i { flex: 1; background: #3f8f7a; }
.tally h2 { font-size: 1.6rem; font-weight: 600; margin: 0; padding: .2rem 0; overflow-wrap: anywhere; }
.tally .equation { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4rem 1rem; padding: .3rem 0; }
.tally .equation b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tally .equation span { opacity: .65; }
.tally .equation .sign { font-size: 1.3rem; opacity: .5; }
.tally .legend { display: flex; flex-wrap: wrap; gap: .15rem 1rem; font-size: .8rem; }
.tally .legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; margin-right: .4rem; }
.tally .bars { position: relative; height: 16rem; margin: .6rem 1rem 1.6rem calc(var(--gutter) + .6rem);
  font-size: .75rem; font-variant-numeric: tabular-nums; }
.tally .bars i { position: absolute; }
.tally .bars i:hover { filter: brightness(1.15); }
.tally .bars u { position: absolute; left: 0; right: 0; text-decoration: none;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.tally .bars u span { position: absolute; right: 100%; bottom: -.7em; padding-right: .5rem; opacity: .65;
  white-space: nowrap; }
.tally .bars s { position: absolute; top: 100%; text-decoration: none; }
.tally .bars s span { position: absolute; top: .3rem; transform: translateX(-50%); opacity: .65; white-space: nowrap; }
.tally .bars s.last span { transform: translateX(-100%); }
.tally .clocks { position: relative; margin: .4rem .8rem; padding-bottom: .75rem; box-sizing: content-box; }
.tally .clocks u { position: absolute; left: 0; right: 0; bottom: .7rem;
  border-bottom: 2px solid color-mix(in srgb, currentColor 25%, transparent); }
.tally .clocks b { position: absolute; transform: translateX(-50%); width: 1.4rem; height: 1.4rem; line-height: 1.4rem;
  border-radius: 50%; text-align: center; font-size: .75rem; background: #2f6f5e; color: #fff; }
.tally .live { display: inline-flex; align-items: center; gap: .45rem; opacity: .75; }
.tally .live::before { content: ""; width: .5rem; height: .5rem; border-radius: 50%; background: #3f8f7a; }
.tally .narrow { display: none; }
.tally .second { display: block; white-space: normal; }
.tally .mark { font-size: .72rem; line-height: 1; padding: .12rem .4rem; border-radius: .6rem; margin-left: .3rem;
  display: inline-block; vertical-align: middle; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.tally .mark.near { border-color: #d19a45; background: color-mix(in srgb, #d19a45 18%, transparent); }
.tally .mark.over { border-color: #b8627f; background: color-mix(in srgb, #b8627f 20%, transparent); }
.tally .indent { display: inline-block; }
.tally td.step, .tally td.time { vertical-align: top; }
.tally td.step { max-width: min(26rem, 60vw); }
.tally td.time { width: 42%; max-width: none; }
.tally .track { display: block; position: relative; height: 1.1rem; margin-top: .15rem;
  background: color-mix(in srgb, currentColor 5%, transparent); border-radius: .2rem; overflow: hidden; }
.tally .track i, .tally .track b { position: absolute; top: .25rem; height: .6rem; border-radius: .15rem; }
.tally .track .whole { top: .48rem; height: .14rem; background: color-mix(in srgb, currentColor 35%, transparent); }
.tally .track b { min-width: 3px; background: #3f8f7a; }
.tally .track b.again { background: #d19a45; }
.tally .track b.group { opacity: .55; }
.tally .below { margin-left: .5rem; font-size: .78rem; opacity: .75; }
.tally .track b.failed { background: #b8627f; }
.tally .track .cut { top: 0; height: 100%; border-radius: 0; background: repeating-linear-gradient(-45deg,
  color-mix(in srgb, currentColor 18%, transparent) 0 1px, transparent 1px 4px); }
.st-key-explore_row { display: grid !important; align-items: end;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.st-key-explore_row > div { width: 100% !important; min-width: 0; }
.st-key-sql_page { display: grid !important; column-gap: 3rem;
  grid-template: "editor catalogue" "answer answer" / 3fr 2fr; }
.st-key-sql_page > * { width: 100% !important; min-width: 0; }
.st-key-sql_page > :nth-child(1) { grid-area: editor; }
.st-key-sql_page > :nth-child(2) { grid-area: answer; }
.st-key-sql_page > :nth-child(3) { grid-area: catalogue; }
.st-key-sql textarea { font-family: "Source Code Pro", ui-monospace, monospace; font-size: .85rem; line-height: 1.5; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; padding-top: 4rem; }
  .tally .wide { display: none; }
  .st-key-sql_page { grid-template: "editor" "answer" "catalogue" / minmax(0, 1fr); }
  .tally .narrow { display: block; overflow: hidden; text-overflow: ellipsis; white-space: normal; }
  .tally .bar { width: 2.5rem; }
  .tally .bar.parts { width: 2.5rem; }
  .tally .move { width: 3rem; }
  .tally h2 { font-size: 1.3rem; }
  [data-testid="stButtonGroup"] button { padding-left: .4rem; padding-right: .4rem; min-width: 0; }
}
</style>"""
