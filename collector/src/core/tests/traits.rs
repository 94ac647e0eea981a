//! Which events set what is known of a person.

use super::*;

fn known(world: &World) -> String {
    let profiles = world.live();
    let profile = profiles.values().next().unwrap();
    let traits = profile.traits.as_deref();
    traits.map_or_else(String::new, |traits| traits.text.to_string())
}

fn identify(traits: &str, minutes_ago: i64) -> TestHit {
    TestHit {
        traits: traits.to_owned(),
        late_ms: minutes_ago * MINUTE,
        ..TestHit::identify("a", "ada")
    }
}

#[tokio::test]
async fn a_groups_traits_are_not_the_persons() {
    let world = World::new(80);
    world.hit(&identify(r#"{"plan":"pro"}"#, 0)).await;
    let group = TestHit {
        name: "group",
        ..identify(r#"{"plan":"free","name":"Initech"}"#, 0)
    };
    world.hit(&group).await;
    assert_eq!(known(&world), r#"{"plan":"pro"}"#);
    world.assert_state_is_the_fold("after a group call").await;
}

#[tokio::test]
async fn an_older_event_only_adds_traits() {
    let mut world = World::new(81);
    world
        .hit(&identify(r#"{"plan":"free","age":41}"#, 120))
        .await;
    world.hit(&identify(r#"{"plan":"pro"}"#, 60)).await;
    assert_eq!(known(&world), r#"{"age":41,"plan":"pro"}"#);
    world.crash().await;
    world
        .hit(&identify(
            r#"{"plan":"trial","age":null,"city":"Bern"}"#,
            90,
        ))
        .await;
    assert_eq!(known(&world), r#"{"age":41,"plan":"pro","city":"Bern"}"#);
    world.hit(&identify(r#"{"plan":"trial"}"#, 61)).await;
    assert_eq!(known(&world), r#"{"age":41,"plan":"pro","city":"Bern"}"#);
    world.hit(&identify(r#"{"age":null}"#, 60)).await;
    assert_eq!(known(&world), r#"{"plan":"pro","city":"Bern"}"#);
    world.assert_state_is_the_fold("after late events").await;
}
