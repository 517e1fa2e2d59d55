// How the report's page looks.
export const css = `
:root { --text: #1c2024; --muted: #60646c; --line: #d9d9e0; --paper: #fcfcfd; --card: #ffffff; --link: #0d63d6;
  --met: #12944a; --open: #a35b00; --missed: #ce2c31; }
@media (prefers-color-scheme: dark) { :root { --text: #edeef0; --muted: #b0b4ba; --line: #363a3f; --paper: #111113;
  --card: #18191b; --link: #70b8ff; --met: #3dd68c; --open: #ffa057; --missed: #ff9592; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 0 0 .5rem; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { padding: .6rem .8rem; border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; }
section { margin: 1.5rem 0; padding: 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem .9rem; margin-top: 1rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .5rem 1rem; margin: .75rem 0; }
.facts dt { color: var(--muted); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-size: .92rem; }
.what { font-weight: 600; margin: 0 0 .4rem; }
.how, .note, figcaption, footer { color: var(--muted); font-size: .92rem; }
figure { margin: 1.25rem 0; }
figure svg { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: .4rem; }
figcaption { margin-top: .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--muted); font-weight: 600; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th.number, .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.goal { white-space: nowrap; }
.median { font-weight: 600; }
.small { font-size: .84rem; color: var(--muted); }
.skipped td { color: var(--muted); }
summary { cursor: pointer; margin: .6rem 0; color: var(--link); }
.verdict { font-weight: 700; }
.met { color: var(--met); } .open { color: var(--open); } .missed { color: var(--missed); }
`;
