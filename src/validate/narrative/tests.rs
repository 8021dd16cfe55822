//! Narratives and what is found in them.

use super::*;

fn div(inner: &str) -> String {
    format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>")
}

#[test]
fn narratives() {
    let check = |narrative: &str, expected: &[Defect]| assert_eq!(judge(narrative), expected, "{narrative}");
    check(&div("a <b>b</b> &amp; &nbsp;<br/><!-- c --><a href=\"#x\" onclick=\"go()\">l</a>"), &[Defect::Attribute]);
    check(&div("<table class=\"x\"><tr><td colspan=\"2\" style=\"a\" xml:lang=\"de\">x</td></tr></table>"), &[]);
    check(&div("<script>x</script><script>y</script>"), &[Defect::Element]);
    check(&div("&eacute;&#233;&#xE9;"), &[]);
    check(&div("a &bogus; b"), &[Defect::NotWellFormed]);
    check(&div("&bogus;"), &[Defect::NotWellFormed]);
    check(&div("a &#xZZ; b"), &[Defect::NotWellFormed]);
    check(&div("a &#0; b"), &[Defect::NotWellFormed]);
    check(&div("<p title=\"&bogus;\">a</p>"), &[Defect::NotWellFormed]);
    check(&div("<p title=\"&eacute;\">a</p>"), &[]);
    check(&div("<p>"), &[Defect::NotWellFormed]);
    check(&div("a").replace("</div>", ""), &[Defect::NotWellFormed]);
    check(&div("<br class=a/>"), &[Defect::NotWellFormed]);
    check(&format!("{0}{0}", div("a")), &[Defect::NotWellFormed]);
    check("text", &[Defect::NotWellFormed]);
    check("<div>x</div>", &[Defect::WrongNamespace]);
    check("<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>", &[Defect::NotADiv]);
    check(&format!("<!DOCTYPE div>{}", div("x")), &[Defect::Doctype]);
    check(&div("<n:p xmlns:n=\"urn:x\">x</n:p><p>y</p>"), &[Defect::WrongNamespace]);
    check(&div("<p xmlns=\"urn:x\">x</p>"), &[Defect::WrongNamespace]);
    check(&div("<p>x <b><p>y</p></b></p>"), &[Defect::InParagraph]);
    check(&div("<p>x</p><div><p>y</p></div><p><span>z</span></p>"), &[]);
    check(&div("<a href=\"http://a.test/{b}\">x</a><img src=\"a b.png\"/>"), &[Defect::Url]);
    check(&div("<a href=\"http://a.test/b?c=d&amp;e=%20#f|1\">x</a>"), &[]);
    check(&format!("<h:div xmlns:h=\"http://www.w3.org/1999/xhtml\">{}</h:div>", "<h:p>x</h:p>"), &[]);
    for (link, runs) in [
        ("http://example.org/a:b", false),
        ("a?b=javascript:c", false),
        ("#a", false),
        ("a?b&amp;c", false),
        ("a?b&#38;c", false),
        ("JavaScript:alert(1)", true),
        ("java\tscript:alert(1)", true),
        ("javascript&#58;alert(1)", true),
        ("&#106;avascript:alert(1)", true),
        ("vbscript:x", true),
    ] {
        check(&div(&format!("<a href=\"{link}\">x</a>")), if runs { &[Defect::Link] } else { &[] });
    }
    check(&div(&format!("{}{}", "<div>".repeat(DEPTH_MAX), "</div>".repeat(DEPTH_MAX))), &[Defect::TooDeep]);
    let spaces = |count: usize| (0..count).map(|at| format!(" xmlns:n{at}=\"urn:n\"")).collect::<String>();
    let holding = |spaces: &str| div(&format!("<b{spaces}>x</b><i{spaces}>y</i>"));
    check(&holding(&spaces(NAMESPACES_MAX - 1)), &[]);
    check(&div(&format!("<b{}><i{}/></b>", spaces(NAMESPACES_MAX - 1), spaces(1))), &[Defect::TooManyNamespaces]);
    check(&holding(&spaces(ATTRIBUTES_MAX)), &[Defect::TooManyNamespaces]);
    let unknown: String = (0..=ATTRIBUTES_MAX).map(|at| format!(" a{at}=\"\"")).collect();
    check(&div(&format!("<b{unknown}>x</b>")), &[Defect::TooManyAttributes]);
}

/// What is found, as rules without their texts.
fn rules(inner: &str) -> Vec<&'static str> {
    judge(&div(inner)).into_iter().map(|defect| defect.rule().message_id.trim_start_matches("XHTML_XHTML_")).collect()
}

#[test]
fn every_element_in_its_place() {
    for (inner, expected) in [
        ("<tr><td>x</td></tr>", &["OUT_OF_PLACE"][..]),
        ("<table>&#13;\n<tr>&#10;<td>x</td>&#9;</tr><![CDATA[ ]]></table><ul>&#32;<li>x</li></ul>", &[]),
        ("<table>&#65;<tr><td>x</td></tr></table>", &["ILLEGAL_CHILDREN"]),
        ("<li>x</li>", &["OUT_OF_PLACE"]),
        ("<ul>text</ul>", &["ILLEGAL_CHILDREN"]),
        ("<ul>\n <li>x</li>\n</ul>", &[]),
        ("<ul>&nbsp;<li>x</li></ul>", &["ILLEGAL_CHILDREN"]),
        ("<ul><p>x</p><p>y</p></ul>", &["ILLEGAL_CHILDREN"]),
        ("<ul><p>x</p></ul><ol><p>x</p></ol>", &["ILLEGAL_CHILDREN", "ILLEGAL_CHILDREN"]),
        ("<ul><li>x<ol><li>y</li></ol></li></ul>", &[]),
        ("<table><div>x</div></table>", &["ILLEGAL_CHILDREN"]),
        ("<table><td>x</td></table>", &["ILLEGAL_CHILDREN", "OUT_OF_PLACE"]),
        ("<table><tr><p>x</p></tr></table>", &["ILLEGAL_CHILDREN"]),
        ("<table><thead><th>x</th></thead></table>", &["ILLEGAL_CHILDREN"]),
        (
            "<table><caption>c</caption><colgroup><col/></colgroup><col/><thead><tr><th>x</th></tr></thead><tr><td><table/></td></tr></table>",
            &[],
        ),
        ("<caption>x</caption>", &["OUT_OF_PLACE"]),
        ("<dl><dt>x</dt><dd>y</dd></dl>", &[]),
        ("<dl><li>x</li></dl>", &["ILLEGAL_CHILDREN", "OUT_OF_PLACE"]),
        ("<dl><dd><ul><li>x</li></ul></dd></dl>", &["BLOCK_IN_PARA"]),
        ("<map name=\"m\"><area href=\"a\"/></map>x", &[]),
        ("<map name=\"m\"><p>x</p></map>", &["ILLEGAL_CHILDREN"]),
        ("<br>x</br>", &["NO_CHILDREN"]),
        ("<hr><b>x</b></hr>", &["NO_CHILDREN"]),
        ("x<br></br>", &[]),
        ("<b>x<b>y</b></b>", &["NO_RECURSION"]),
        ("<b>x<i><b>y</b></i></b>", &["NO_RECURSION"]),
        ("<b>x</b><b>y</b><span><span>z</span></span>", &[]),
        ("<h1><div>x</div></h1>", &["BLOCK_IN_PARA"]),
        ("<span><b><table/>x</b></span>", &["BLOCK_IN_PARA", "BLOCK_IN_PARA"]),
        ("<p><pre>x</pre></p>", &["BLOCK_IN_PARA"]),
        ("<p><ul><li>x</li></ul></p>", &["ELEMENT_ILLEGAL_IN_PARA", "BLOCK_IN_PARA"]),
        ("<blockquote><p>x</p><ul><li>y</li></ul></blockquote>", &[]),
        ("<ul><script>x</script></ul>", &["Element_Illegal", "ILLEGAL_CHILDREN"]),
    ] {
        assert_eq!(rules(inner), expected, "{inner}");
    }
    let found: Vec<String> = judge(&div("<table><td>x</td></table>")).iter().map(|defect| defect.text().into_owned()).collect();
    let table = "In narrative, table holds caption, col, colgroup, tbody, tfoot, thead or tr directly, and neither text nor anything else";
    assert_eq!(found, [table, "In narrative, td stands directly in tr, thead or tfoot"]);
}

#[test]
fn attributes_of_their_elements() {
    for (inner, expected) in [
        ("<p href=\"a\">x</p>", &["Attribute_Illegal"][..]),
        ("<span src=\"a\">x</span>", &["Attribute_Illegal"]),
        ("<div name=\"a\">x</div>", &["Attribute_Illegal"]),
        ("<table bgcolor=\"red\"><tr><td>x</td></tr></table>", &["Attribute_Illegal"]),
        ("<ol start=\"2\"><li>x</li></ol>", &["Attribute_Illegal"]),
        ("<a href=\"a\" target=\"_blank\">x</a>", &["Attribute_Illegal"]),
        ("<img src=\"a\" alt=\"x\" hspace=\"3\"/>", &["Attribute_Illegal"]),
        ("<img src=\"a\" alt=\"x\" ismap=\"ismap\" usemap=\"#m\" width=\"1\" height=\"1\"/>", &[]),
        ("<table border=\"1\" summary=\"x\"><tr><td nowrap=\"nowrap\" width=\"1\">x</td></tr></table>", &[]),
        ("<q cite=\"a\">x</q><p xml:lang=\"de\" lang=\"de\" title=\"x\">y</p>", &[]),
        ("<p xml:space=\"preserve\">x</p>", &["ATTRIBUTE_XML_SPACE"]),
        ("<p xml:base=\"http://a.test\">x</p>", &["Attribute_Illegal"]),
        ("<p id=\"a\">x</p><p id=\"a\">y</p>", &["DUPLICATE_IDS"]),
        ("<p id=\"a\">x</p><a name=\"a\">y</a>", &["DUPLICATE_IDS"]),
        ("<a id=\"a\" name=\"a\">x</a><map name=\"a\"><area/></map>", &[]),
    ] {
        assert_eq!(rules(inner), expected, "{inner}");
    }
}

#[test]
fn data_in_urls() {
    for (url, expected) in [
        ("data:image/png;base64,iVBO", &[][..]),
        ("data:image/svg+xml,%3Csvg/%3E", &[]),
        ("data:,hello", &[]),
        ("data:text/plain;charset=utf-8,hello", &[]),
        ("data:;charset=utf-8,hello", &[]),
        ("data:;base64,iVBO", &[]),
        ("data:image/png;base64,AAA", &["XHTML_URL_INVALID"]),
        ("data:image/png", &["XHTML_URL_INVALID"]),
        ("data:image/png;base64,", &["XHTML_URL_INVALID"]),
        ("data:,a,b", &["XHTML_URL_INVALID"]),
        ("data:image,a", &["XHTML_URL_INVALID"]),
    ] {
        assert_eq!(rules(&format!("<img src=\"{url}\" alt=\"x\"/>")), expected, "{url}");
    }
    for link in ["data:text/html,x", "DATA:Text/HTML;base64,eA==", "data:image/svg+xml;charset=utf-8,x"] {
        assert_eq!(judge(&div(&format!("<a href=\"{link}\">x</a>"))), [Defect::Link], "{link}");
    }
}
