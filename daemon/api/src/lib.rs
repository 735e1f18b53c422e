//! HTTP: routes by resource, authentication, problems, event streams, OpenAPI.
