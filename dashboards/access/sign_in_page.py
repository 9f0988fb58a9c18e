"""The pages for sign-in and sign-out: plain HTML without a script, since nothing of the app is served before."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from dashboards.theme import MARK, OPTIONS

_STYLE = """
:root { color-scheme: light dark; --ground: %(light_ground)s; --text: %(light_text)s; --field: %(light_field)s;
  --accent: %(light_accent)s; --label: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ground: %(dark_ground)s; --text: %(dark_text)s;
  --field: %(dark_field)s; --accent: %(dark_accent)s; --label: #141817; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 "Source Sans", "Source Sans 3", system-ui, sans-serif; }
main { width: 100%%; max-width: 22rem; }
img { width: 2.5rem; height: 2.5rem; }
h1 { font-size: 1.5rem; font-weight: 600; margin: .5rem 0 .25rem; }
p { margin: 0 0 1rem; } small { opacity: .75; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
label { display: block; font-size: .875rem; margin-bottom: .25rem; }
input, button { width: 100%%; font: inherit; padding: .6rem .75rem; border-radius: .5rem; color: var(--text); }
input { background: var(--field); border: 1px solid color-mix(in srgb, var(--text) 30%%, transparent); }
button { margin: .75rem 0 1rem; border: 0; background: var(--accent); color: var(--label); font-weight: 600;
  cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.wrong { border-left: 3px solid #b8627f; padding-left: .75rem; }
""" % {
    f"{theme}_{name}": OPTIONS.get(f"theme.{theme}.{option}", OPTIONS["theme.primaryColor"])
    for theme in ("light", "dark")
    for name, option in (
        ("ground", "backgroundColor"), ("text", "textColor"), ("field", "secondaryBackgroundColor"),
        ("accent", "primaryColor"),
    )
}  # fmt: skip
_MARK = b64encode(MARK.read_bytes()).decode()
POLICY = (
    "default-src 'none'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)


def render_sign_in(back_to: str, problem: str = "") -> str:
    """Return the page that asks for the password."""
    problem_html = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return _render_page(
        "Sign in",
        f"""{problem_html}<form method="post" action="/sign-in">
<label for="password">Password of this home</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{escape(back_to)}">
<button>Sign in</button></form>
<p><small>The owner of this home finds the password with <code>tally status</code>.</small></p>""",
    )


def render_sign_out() -> str:
    """Return the page that confirms a sign-out: following a link must not sign out."""
    return _render_page("Sign out", '<form method="post" action="/sign-out"><button>Sign out</button></form>')


def _render_page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Tallystick</title><link rel="icon" href="data:image/svg+xml;base64,{_MARK}">
<style>{_STYLE}</style></head>
<body><main><img alt="" src="data:image/svg+xml;base64,{_MARK}"><h1>{title}</h1>{body}</main></body></html>"""
