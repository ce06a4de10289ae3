//! The report as one page of HTML that needs nothing else: no script, no style sheet, no picture.
//!
//! Invariant: whatever comes from outside is escaped, also inside of attributes.

use std::fmt::Write as _;

use crate::api::{ReportKind, ReportResponse};
use crate::cli::report::{counted, names, when};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;\
color:#222;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;\
border-bottom:1px solid #ddd;vertical-align:top}td:first-child,code{font-family:ui-monospace,monospace;\
font-size:13px;overflow-wrap:anywhere}ul{display:flex;flex-wrap:wrap;gap:1rem;padding:0;list-style:none}\
li{border:1px solid #ddd;border-radius:6px;padding:.5rem 1rem}li b{display:block;font-size:1.4rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}td,th,li{border-color:#444}}";

/// The page.
pub(super) fn page(report: &ReportResponse) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>hushd report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>hushd report</h1>\n<p>{}: {} looked at, {} compared.</p>\n<ul>\n",
        report.generated_at,
        counted(report.secrets),
        report.compared
    );
    for kind in ReportKind::ALL {
        let count = report.findings.iter().filter(|finding| finding.kind == kind).count();
        let _infallible = writeln!(page, "<li><b>{count}</b>{}</li>", kind.title());
    }
    page.push_str("</ul>\n");
    for kind in ReportKind::ALL {
        let mut found = report.findings.iter().filter(|finding| finding.kind == kind).peekable();
        if found.peek().is_none() {
            continue;
        }
        let title = kind.title();
        let _infallible =
            writeln!(page, "<h2>{title}</h2>\n<table>\n<tr><th>Secret</th><th>When</th><th>What to do</th></tr>");
        for finding in found {
            let date = finding.at.map(|at| at.to_string()).unwrap_or_default();
            let _infallible = writeln!(
                page,
                "<tr><td>{}</td><td title=\"{}\">{}</td><td>{}</td></tr>",
                escaped(&names(finding)),
                escaped(&date),
                escaped(&when(finding, report.generated_at)),
                escaped(&finding.hint)
            );
        }
        page.push_str("</table>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ReportFinding, SecretName};
    use crate::clock::Timestamp;

    #[test]
    fn whatever_is_in_it_stays_text_and_nothing_is_fetched() {
        let hostile = "\"><script>alert('1')</script>&amp;";
        let name = SecretName { namespace: hostile.to_owned(), key: hostile.to_owned() };
        let finding = |kind| ReportFinding {
            kind,
            secrets: vec![name.clone(), name.clone()],
            at: Some(Timestamp::from_millis(0)),
            missing: vec![hostile.to_owned()],
            hint: hostile.to_owned(),
            see: hostile.to_owned(),
        };
        let findings: Vec<_> = ReportKind::ALL.into_iter().map(finding).collect();
        let generated_at = Timestamp::from_millis(86_400_000);
        let page = page(&ReportResponse { generated_at, secrets: 2, compared: 2, findings });
        assert!(!page.contains("<script") && !page.contains("\">&"), "{page}");
        assert_eq!(page.matches("&quot;&gt;&lt;script&gt;").count(), ReportKind::ALL.len() * 6, "{page}");
        for fetching in ["http://", "https://", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(fetching), "{fetching}: {page}");
        }
        assert!(page.contains("<b>1</b>duplicate</li>") && page.contains("1970-01-01T00:00:00.000Z"), "{page}");
    }
}
