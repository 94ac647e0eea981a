use super::*;

const AGENTS: &str = include_str!("agents.txt");

#[test]
fn real_user_agents_fall_into_their_classes() {
    let mut checked = 0;
    for line in AGENTS.lines().filter(|line| !line.starts_with('#')) {
        let (class, agent) = line.split_once('\t').unwrap();
        let found = device(Some(agent));
        assert_eq!(found.class.as_str(), class, "{agent}");
        assert_eq!(found.bot, class == "bot", "{agent}");
        checked += 1;
    }
    assert!(checked >= 40, "{checked}");
}

#[test]
fn no_user_agent_is_unknown_and_no_bot() {
    assert_eq!(device(None), Device::default());
    assert_eq!(device(Some("")), Device::default());
    assert_eq!(device(Some("ü/1 \u{0} 東京")), Device::default());
}

#[test]
fn a_word_longer_than_any_known_one_says_nothing() {
    let agent = format!("{}bot", "x".repeat(WORD_MAX));
    assert_eq!(device(Some(&agent)), Device::default());
}
