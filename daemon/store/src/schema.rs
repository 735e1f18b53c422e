//! The tables, as both databases have them; `migrations/` creates them.

diesel::table! {
    tokens (id) {
        id -> Text,
        name -> Text,
        scope -> Text,
        tenant -> Nullable<Text>,
        hash -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    machines (name) {
        name -> Text,
        spec -> Text,
        facts -> Nullable<Text>,
        holds_data_of -> Nullable<Text>,
        created_at -> BigInt,
        fence -> BigInt,
    }
}

diesel::table! {
    tenants (name) {
        name -> Text,
        domain -> Text,
        machine -> Text,
        spec -> Text,
        version -> BigInt,
        deployed_revision -> Nullable<Text>,
        deployed_system -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        platform -> Nullable<Text>,
        condition -> Nullable<Text>,
        check_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    revisions (tenant, id) {
        tenant -> Text,
        id -> Text,
        spec -> Text,
        files -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    operations (id) {
        id -> Text,
        tenant -> Text,
        machine -> Text,
        kind -> Text,
        wipe -> Bool,
        status -> Text,
        revision -> Nullable<Text>,
        system -> Nullable<Text>,
        cancel_requested -> Bool,
        error -> Nullable<Text>,
        requested_by -> Text,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
        last_seq -> BigInt,
        rollout -> Nullable<Text>,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        fence -> BigInt,
        writes -> BigInt,
        snapshot -> Nullable<Text>,
        recipient -> Nullable<Text>,
        migration -> Nullable<Text>,
        due_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    vaults (id) {
        id -> Text,
        tenant -> Nullable<Text>,
        sealed_key -> Text,
        created_at -> BigInt,
        pruned_by -> Nullable<Text>,
    }
}

diesel::table! {
    snapshots (id) {
        id -> Text,
        vault -> Text,
        tenant -> Text,
        body -> Text,
        forgetting -> Nullable<Text>,
    }
}

diesel::table! {
    bucket_copies (vault, service, bucket) {
        vault -> Text,
        service -> Text,
        bucket -> Text,
        restic -> Text,
        operation -> Text,
    }
}

diesel::table! {
    object_moves (migration, service, place, key) {
        migration -> Text,
        service -> Text,
        place -> Text,
        key -> Binary,
        tenant -> Text,
        noted -> Text,
    }
}

diesel::table! {
    backup_plans (tenant) {
        tenant -> Text,
        plan -> Text,
        version -> BigInt,
        due_at -> BigInt,
        late_at -> Nullable<BigInt>,
        tidy_at -> Nullable<BigInt>,
        last_whole -> Nullable<Text>,
        failure -> Nullable<Text>,
        prune_failure -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        drill_due_at -> Nullable<BigInt>,
        drill_late_at -> Nullable<BigInt>,
        last_drill -> Nullable<Text>,
        drill_failure -> Nullable<Text>,
    }
}

diesel::table! {
    drills (operation) {
        operation -> Text,
        tenant -> Text,
        machine -> Text,
        lent -> Bool,
        cleans -> Bool,
        body -> Text,
    }
}

diesel::table! {
    steps (operation_id, position) {
        operation_id -> Text,
        position -> Integer,
        name -> Text,
        status -> Text,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
        progress -> Nullable<Text>,
    }
}

diesel::table! {
    events (operation_id, seq) {
        operation_id -> Text,
        seq -> BigInt,
        at -> BigInt,
        kind -> Text,
        body -> Text,
    }
}

diesel::table! {
    previews (operation_id) {
        operation_id -> Text,
        tenant -> Text,
        spec -> Nullable<Text>,
        result -> Nullable<Text>,
    }
}

diesel::table! {
    idempotency (token, key) {
        token -> Text,
        key -> Text,
        fingerprint -> Binary,
        reply -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    watch_links (hash) {
        hash -> Binary,
        operation_id -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    nixops4_states (tenant) {
        tenant -> Text,
        document -> Nullable<Text>,
        sensitive -> Text,
        serial -> BigInt,
        fence -> BigInt,
        holder -> Nullable<Text>,
        held_by -> Nullable<Text>,
        leased_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    secrets_key (id) {
        id -> Integer,
        recipient -> Text,
    }
}

diesel::table! {
    rollouts (id) {
        id -> Text,
        status -> Text,
        spec -> Text,
        platform -> Nullable<Text>,
        wave -> Integer,
        cancel_operations -> Bool,
        error -> Nullable<Text>,
        requested_by -> Text,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        last_seq -> BigInt,
    }
}

diesel::table! {
    nixops4_changes (tenant, serial) {
        tenant -> Text,
        serial -> BigInt,
        at -> BigInt,
        event -> Text,
        nixops_version -> Text,
        made_by -> Text,
        patch -> Text,
    }
}

diesel::table! {
    rollout_tenants (rollout_id, position) {
        rollout_id -> Text,
        position -> Integer,
        tenant -> Text,
        wave -> Integer,
        state -> Text,
        operation_id -> Nullable<Text>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    rollout_events (rollout_id, seq) {
        rollout_id -> Text,
        seq -> BigInt,
        body -> Text,
    }
}

diesel::table! {
    arrivals (id) {
        id -> Text,
        token_hash -> Text,
        serial -> BigInt,
        claim -> Nullable<Text>,
        source_key -> Nullable<Text>,
        handover -> Nullable<Text>,
        body -> Text,
    }
}

diesel::table! {
    departures (operation) {
        operation -> Text,
        tenant -> Text,
        sealed_ticket -> Text,
        body -> Text,
        kept_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    offsite_imports (operation) {
        operation -> Text,
        repository -> Text,
        tenant -> Text,
        snapshot -> Text,
        go_live -> Bool,
        sealed -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::joinable!(steps -> operations (operation_id));
diesel::allow_tables_to_appear_in_same_query!(operations, steps);
diesel::allow_tables_to_appear_in_same_query!(machines, tenants);
diesel::allow_tables_to_appear_in_same_query!(operations, tenants);

diesel::allow_tables_to_appear_in_same_query!(operations, backup_plans);
diesel::allow_tables_to_appear_in_same_query!(operations, drills);
diesel::allow_tables_to_appear_in_same_query!(machines, drills);
diesel::allow_tables_to_appear_in_same_query!(tenants, drills);
diesel::allow_tables_to_appear_in_same_query!(operations, snapshots);
diesel::allow_tables_to_appear_in_same_query!(operations, offsite_imports);

diesel::joinable!(snapshots -> vaults (vault));
diesel::allow_tables_to_appear_in_same_query!(snapshots, vaults);
