#include "fedmeta/records/report_html.h"

namespace fedmeta {

// Colours k0 .. k5 are Okabe and Ito's, which people with colour blindness can tell apart; the dark
// sheet takes their lighter ones. Grid cells and lines differ in form as well.
std::string_view ReportStyle() {
  return R"css(
:root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--soft:#5b646e;--rule:#e3e6e9;--tint:#f5f7f8;
--k0:#0072b2;--k1:#d55e00;--k2:#009e73;--k3:#b5628f;--k4:#c98500;--k5:#7a838c;--reported:#8fbfdd}
@media(prefers-color-scheme:dark){:root{--page:#14171a;--ink:#e6e9ec;--soft:#9aa4ae;--rule:#2b3137;--tint:#1b2024;
--k0:#56b4e9;--k1:#f0813a;--k2:#2fc79a;--k3:#d98fb8;--k4:#e6b022;--k5:#8d97a1;--reported:#2f6f98}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:960px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:15px;font-weight:600;margin:0;color:var(--soft)}
.result{font-size:26px;line-height:1.32;font-weight:600;letter-spacing:-.01em;margin:10px 0 22px;max-width:34em;text-wrap:pretty}
.facts{display:flex;flex-wrap:wrap;gap:8px 28px;margin:0 0 8px;padding:12px 0;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule);font-size:14px}
.facts div{min-width:0}
.facts dt{color:var(--soft);font-size:12px}
.facts dd{margin:0;overflow-wrap:anywhere}
.privacy{font-size:14px;color:var(--soft);margin:12px 0 0}
.status-bad{color:var(--k1);font-weight:600}
section{margin:44px 0 0}
h2{font-size:19px;line-height:1.3;font-weight:650;margin:0 0 4px;letter-spacing:-.005em}
.answer{margin:0 0 14px;color:var(--soft);font-size:15px;max-width:62em}
.pair{display:grid;grid-template-columns:minmax(0,440px) minmax(0,1fr);gap:20px 40px;align-items:start}
.pair>.aside:first-child{grid-column:1/-1}
figure{margin:0}
figure svg+svg{margin-top:14px}
svg{display:block;width:100%;height:auto;overflow:visible}
figcaption{font-size:12.5px;line-height:1.5;color:var(--soft);margin-top:8px}
.scroll{overflow-x:auto}
.scroll+.scroll{margin-top:22px}
table{border-collapse:collapse;width:100%;font-size:13.5px;line-height:1.35}
th,td{padding:5px 0 5px 14px;text-align:right;vertical-align:top;font-weight:400;white-space:nowrap;border-bottom:1px solid var(--rule)}
th:first-child{padding-left:0;text-align:left;white-space:normal;overflow-wrap:anywhere}
thead th{color:var(--soft);font-size:12px;vertical-align:bottom;border-bottom-color:var(--soft)}
tbody tr:first-child th:has(.swatch.k0b),tbody tr:first-child:has(.swatch.k0b) td{font-weight:650}
th:has(>.swatch){padding-left:17px;text-indent:-17px}
.swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:7px}
.t{font-size:11.5px;fill:var(--soft);font-family:inherit}
.strong{font-weight:600;fill:var(--ink)}
.rule{stroke:var(--rule);stroke-width:1}
.mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}
.l{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.quiet{stroke-width:1.3}
.m{stroke:var(--page);stroke-width:1}
.band{opacity:.14;stroke:none}
.bell{stroke:var(--k0);stroke-width:2;opacity:.4}
.hollow{fill:var(--page);stroke:var(--k0);stroke-width:1.4}
.alone{stroke:var(--k4);stroke-width:2.6}
.floor{stroke:var(--ink);stroke-width:2}
.reported{fill:var(--reported)}.dropped{fill:var(--k1)}.abandoned{fill:none;stroke:var(--k1);stroke-width:1}
.key{display:inline-block;width:10px;height:10px;margin:0 3px 0 8px;vertical-align:-1px}
.key:first-child{margin-left:0}
.hollow-key{border:1.5px solid var(--k0);border-radius:50%}.dot-key{background:var(--k0);border-radius:50%}
.bar-key{width:3px;height:12px;background:var(--k4)}.floor-key{width:2px;height:12px;background:var(--ink)}
.reported-key{background:var(--reported);height:7px;vertical-align:1px}.dropped-key{background:var(--k1)}.abandoned-key{border:1px solid var(--k1)}
.l.k0{stroke:var(--k0)}.l.k1{stroke:var(--k1)}.l.k2{stroke:var(--k2)}.l.k3{stroke:var(--k3)}.l.k4{stroke:var(--k4)}.l.k5{stroke:var(--k5)}
.m.k0,.f.k0,.band.k0,.k0t{fill:var(--k0)}.m.k1,.f.k1,.band.k1,.k1t{fill:var(--k1)}.m.k2,.f.k2,.band.k2,.k2t{fill:var(--k2)}
.m.k3,.f.k3,.band.k3,.k3t{fill:var(--k3)}.m.k4,.f.k4,.band.k4,.k4t{fill:var(--k4)}.m.k5,.f.k5,.band.k5,.k5t{fill:var(--k5)}
.k0b{background:var(--k0)}.k1b{background:var(--k1)}.k2b{background:var(--k2)}.k3b{background:var(--k3)}.k4b{background:var(--k4)}.k5b{background:var(--k5)}
pre{margin:8px 0 0;padding:14px 16px;background:var(--tint);border-radius:6px;font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
white-space:pre-wrap;overflow-wrap:anywhere}
.manifest td{text-align:left;white-space:normal;overflow-wrap:anywhere}
.manifest th:first-child{width:15em;color:var(--soft)}
@media(max-width:760px){main{padding:24px 16px 48px}.result{font-size:21px}.pair{grid-template-columns:minmax(0,1fr);gap:14px}
figure{max-width:440px}section{margin-top:36px}.manifest th:first-child{width:9em}th,td{padding-left:10px}}
@media print{@page{size:A4;margin:16mm 15mm}
:root{color-scheme:light;--page:#fff;--ink:#000;--soft:#444;--rule:#ddd;--tint:#f6f6f6;--k0:#0072b2;--k1:#d55e00;--k2:#009e73;--k3:#b5628f;--k4:#c98500;
--k5:#7a838c;--reported:#8fbfdd}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{font-size:10.5pt}main{max-width:none;padding:0}.result{font-size:16pt}
section{margin-top:22px}figure,tr,h2,.answer{break-inside:avoid}h2,.answer{break-after:avoid}
.pair{grid-template-columns:minmax(0,88mm) minmax(0,1fr);gap:12px 22px;break-inside:avoid}
table{font-size:8.5pt}thead th{font-size:8pt}.answer{font-size:10pt}pre{font-size:8pt}figcaption{font-size:8.5pt}}
)css";
}

}  // namespace fedmeta
