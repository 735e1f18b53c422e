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

diesel::joinable!(steps -> operations (operation_id));
diesel::allow_tables_to_appear_in_same_query!(operations, steps);
diesel::allow_tables_to_appear_in_same_query!(machines, tenants);
