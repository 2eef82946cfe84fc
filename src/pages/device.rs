//! The device of a session in words, as far as its `User-Agent` is certain of it.
//!
//! A browser that claims to be another one also names itself, so that a well-known name counts only
//! where no unknown one stands beside it. The words are ours: nothing that a client sent is shown.

/// A browser and the system that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its product name.
    pub(crate) browser: Option<&'static str>,
    /// The name of its system.
    pub(crate) system: Option<&'static str>,
}

/// Names that only one product gives itself, whatever else stands there.
const BRANDS: [(&str, &str); 15] = [
    ("KAKAOTALK", "KakaoTalk"),
    ("NAVER", "NAVER"),
    ("Line", "LINE"),
    ("Instagram", "Instagram"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Whale", "Whale"),
    ("Edg", "Edge"),
    ("EdgA", "Edge"),
    ("EdgiOS", "Edge"),
    ("Edge", "Edge"),
    ("OPR", "Opera"),
    ("OPT", "Opera"),
    ("OPiOS", "Opera"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex"),
];

/// The names that browsers give themselves and others besides, which count where only the names of
/// [`ENGINES`] stand beside them.
const PLAIN: [(&str, &str); 5] = [
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Version", "Safari"),
];

/// Names that browsers of many makers have.
const ENGINES: [&str; 6] = ["AppleWebKit", "KHTML", "like", "Gecko", "Mobile", "Safari"];

/// The length from which an agent may have been cut, between two characters of its first 256 bytes,
/// and lack the name at its end.
const WHOLE_BELOW: usize = 253;

/// The device of a user agent in words, or an empty text, and its icon: `phone` or `computer`.
pub(crate) fn in_words(agent: Option<&str>) -> (String, &'static str) {
    let described = describe(agent);
    let is_phone = described.is_some_and(|device| matches!(device.system, Some("Android" | "iOS")));
    let words = described.into_iter().flat_map(|device| [device.browser, device.system]);
    let device = words.flatten().collect::<Vec<_>>().join(" · ");
    (device, if is_phone { "phone" } else { "computer" })
}

/// Describes the device of an agent; `None` where nothing is certain.
fn describe(agent: Option<&str>) -> Option<Device> {
    let agent = agent?;
    let (platform, products) = agent.strip_prefix("Mozilla/5.0 (")?.split_once(')')?;
    let names: Vec<&str> = products
        .split([' ', ';', ',', '(', ')', '['])
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once('/').map_or(word, |(name, _)| name))
        .collect();
    let is_whole = agent.len() < WHOLE_BELOW;
    let browser = brand(&names).or_else(|| plain(platform, &names).filter(|_| is_whole));
    let device = Device { browser, system: system(platform, &names) };
    (device.browser.is_some() || device.system.is_some()).then_some(device)
}

fn brand(names: &[&str]) -> Option<&'static str> {
    BRANDS.iter().find(|(name, _)| names.contains(name)).map(|(_, brand)| *brand)
}

fn plain(platform: &str, names: &[&str]) -> Option<&'static str> {
    let is_apple =
        ["Macintosh;", "iPhone;", "iPad;", "iPod"].iter().any(|it| platform.starts_with(it));
    let is_alone = |own: &str| {
        names.iter().all(|name| match *name {
            // On an iPad or iPhone that asks for the desktop's page.
            "Version" if own.ends_with("iOS") => true,
            name => name == own || ENGINES.contains(&name),
        })
    };
    let (own, browser) = PLAIN.iter().find(|(own, _)| names.contains(own) && is_alone(own))?;
    (is_apple || *own != "Version").then_some(*browser)
}

fn system(platform: &str, names: &[&str]) -> Option<&'static str> {
    let mut fields = platform.split(';').map(str::trim);
    let has = |name: &str| platform.contains(name);
    match fields.next()? {
        _ if ["Xbox", "HarmonyOS", "Tizen", "Web0S", "KAIOS"].into_iter().any(has) => None,
        windows if windows.starts_with("Windows NT ") => Some("Windows"),
        "iPhone" | "iPod" | "iPod touch" => Some("iOS"),
        "iPad" => ipad_system(platform),
        // Safari, and every browser of an iPad or iPhone that asks for the desktop's page, says so too.
        "Macintosh" if names.contains(&"Chrome") || names.contains(&"Firefox") => Some("macOS"),
        "Linux" if fields.any(is_android) => Some("Android"),
        "X11" => fields.find_map(|field| match field {
            cros if cros.starts_with("CrOS ") => Some("ChromeOS"),
            linux if linux.starts_with("Linux") => Some("Linux"),
            _ => None,
        }),
        android if is_android(android) => Some("Android"),
        _ => None,
    }
}

/// iPads have had a system of their own since version 13.
fn ipad_system(platform: &str) -> Option<&'static str> {
    let (_, version) = platform.split_once("CPU OS ")?;
    let major: u16 = version.split(['_', ' ']).next()?.parse().ok()?;
    Some(if major >= 13 { "iPadOS" } else { "iOS" })
}

fn is_android(field: &str) -> bool {
    field == "Android" || field.starts_with("Android ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Device, describe};

    /// Browser, system, and the agents that some of them sent.
    const AGENTS: &[(&str, &str, &str)] = &[
        (
            "Chrome",
            "Windows",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/143.0.0.0 Safari/537.36",
        ),
        (
            "Chrome",
            "macOS",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/142.0.0.0 Safari/537.36",
        ),
        (
            "Chrome",
            "Linux",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/120.0.0.0 Safari/537.36",
        ),
        (
            "Chrome",
            "ChromeOS",
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/138.0.0.0 Safari/537.36",
        ),
        (
            "Chrome",
            "Android",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/141.0.0.0 Mobile Safari/537.36",
        ),
        (
            "Chrome",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
        ),
        (
            "Safari",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        ),
        (
            "Safari",
            "iPadOS",
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        ),
        (
            "Safari",
            "iOS",
            "Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
        ),
        // A Mac's, and that of an iPad as it comes.
        (
            "Safari",
            "",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        ),
        // An iPad or an iPhone that asks for the desktop's page.
        (
            "Chrome",
            "",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) CriOS/126 Version/11.1.1 Safari/605.1.15",
        ),
        (
            "Edge",
            "Windows",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
        ),
        (
            "Edge",
            "Android",
            "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/120.0.6099.144 Mobile Safari/537.36 EdgA/120.0.2210.126",
        ),
        (
            "Edge",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2_1 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/17.0 EdgiOS/120.0.2210.126 Mobile/15E148 Safari/605.1.15",
        ),
        (
            "Firefox",
            "Windows",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        (
            "Firefox",
            "macOS",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        (
            "Firefox",
            "Linux",
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        ),
        (
            "Firefox",
            "Android",
            "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0",
        ),
        (
            "Firefox",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) FxiOS/133.0 Mobile/15E148 Safari/605.1.15",
        ),
        (
            "Samsung Internet",
            "Android",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
             SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
        ),
        (
            "Whale",
            "Windows",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/132.0.0.0 Whale/4.31.304.16 Safari/537.36",
        ),
        (
            "KakaoTalk",
            "Android",
            "Mozilla/5.0 (Linux; Android 13; SM-S908N Build/TP1A.220624.014; wv) \
             AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 \
             Mobile Safari/537.36;KAKAOTALK 2410080",
        ),
        (
            "KakaoTalk",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Mobile/15E148 KAKAOTALK/10.3.5 (INAPP)",
        ),
        (
            "NAVER",
            "iOS",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/16.3 Mobile/15E148 Safari/604.1 \
             NAVER(inapp; search; 1000; 11.24.3; 14PRO)",
        ),
        (
            "Opera",
            "Windows",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0",
        ),
        // Those whose name is not known here are not called by the name that they borrow.
        (
            "",
            "Android",
            "Mozilla/5.0 (Linux; Android 13; SM-A536N; wv) AppleWebKit/537.36 (KHTML, like Gecko) \
             Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36",
        ),
        (
            "",
            "Android",
            "Mozilla/5.0 (Linux; U; Android 4.0.3; ko-kr; LG-L160L Build/IML74K) \
             AppleWebkit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
        ),
        (
            "",
            "Linux",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             HeadlessChrome/120.0.0.0 Safari/537.36",
        ),
        (
            "",
            "",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/17.4 Safari/605.1.15 Ddg/17.4",
        ),
        (
            "Samsung Internet",
            "",
            "Mozilla/5.0 (Linux; Tizen 2.3; SAMSUNG SM-R800) AppleWebKit/537.36 \
             (KHTML, like Gecko) SamsungBrowser/2.0 Mobile Safari/537.36",
        ),
        (
            "Edge",
            "",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 \
             (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
        ),
        ("", "", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("", "", "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)"),
        ("", "", "curl/8.11.1"),
        ("", "", "okhttp/4.12.0"),
        ("", "", "Dart/3.5 (dart:io)"),
        ("", "", "Shop/1.0 (example.shop; build:1; iOS 17.0.0) Alamofire/5.9.1"),
        ("", "", "Mozilla/5.0"),
        ("", "", "Mozilla/5.0 ("),
        ("", "", "Mozilla/5.0 ()"),
        ("", "", "Mozilla/5.0 (X11"),
        ("", "", "Mozilla/5.0 (iPad; CPU OS 99999999999_1) <script>alert(1)</script>"),
        ("", "", "Mozilla/5.0 (Androids; Linux) Chromes/1 Firefoxes/2 Version/3"),
        ("", "", ""),
    ];

    #[test]
    fn a_device_is_named_as_far_as_it_is_certain() {
        for (browser, system, agent) in AGENTS {
            let word = |word: &'static str| (!word.is_empty()).then_some(word);
            let (browser, system) = (word(browser), word(system));
            let expected =
                (browser.is_some() || system.is_some()).then_some(Device { browser, system });

            assert_eq!(describe(Some(agent)), expected, "{agent}");
        }
        assert_eq!(describe(None), None);
    }

    #[test]
    fn an_agent_that_may_have_been_cut_is_not_called_by_a_borrowed_name() {
        let before = "Mozilla/5.0 (Linux; Android 10; ";
        let after =
            ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
        for (length, browser) in [(252, Some("Chrome")), (253, None), (256, None)] {
            let model = "M".repeat(length - before.len() - after.len());

            let device = describe(Some(&format!("{before}{model}{after}"))).unwrap();

            assert_eq!((device.browser, device.system), (browser, Some("Android")), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_agent_is_described_in_words_of_ours(agent in "(Mozilla/5.0 \\()?[\\PC\t]{0,300}") {
            let words = describe(Some(&agent)).map(|device| (device.browser, device.system));
            prop_assert!(words != Some((None, None)));
        }
    }
}
