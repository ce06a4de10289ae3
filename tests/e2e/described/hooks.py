"""What schemathesis does not know by itself: who may do what."""

import os
import re

import schemathesis
from hypothesis import strategies as st

#: What anybody may call.
PUBLIC = {"health", "ready", "describe"}
#: What a token with the scope `read shop/*` may call, in this namespace.
READING = {"get_secret", "list_secrets", "list_revisions", "verify_secret", "environment"}
#: What it may call too, and gets no more of than what it may see.
FILTERED = {"namespaces", "events", "report"}
#: The name of a secret in another namespace.
UNSEEN = "GAMMA"
CALLER = os.environ["HUSHD_TEST_CALLER"]


@schemathesis.check
def nothing_without_permission(ctx, response, case):
    """An answer with content was given only to whoever may have it."""
    name = case.operation.definition.raw.get("operationId")
    if CALLER == "admin":
        return
    assert name in PUBLIC or UNSEEN not in response.text, f"{CALLER} sees {UNSEEN} by {name}"
    if response.status_code >= 400 or name in PUBLIC:
        return
    if name == "unseal":
        # Of a vault that is not sealed it says so to anybody.
        return
    if CALLER == "token" and name in FILTERED:
        return
    if CALLER == "token" and name in READING and (case.query or {}).get("namespace") == "shop":
        return
    raise AssertionError(f"{CALLER} was answered {response.status_code} by {name}")


def _known(values, name, pattern, known):
    """As often as not a name that there is, where any good one would do."""
    if values is None or not re.fullmatch(pattern, str(values.get(name, known[0]))):
        return st.just(values)
    return st.sampled_from([values, *({**values, name: one} for one in known)])


@schemathesis.hook
def flatmap_query(ctx, query):
    if not any(parameter.name == "namespace" for parameter in ctx.operation.query):
        return st.just(query)
    return _known(query, "namespace", r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,7}", ["shop"])


@schemathesis.hook
def flatmap_path_parameters(ctx, path_parameters):
    if not any(parameter.name == "key" for parameter in ctx.operation.path_parameters):
        return st.just(path_parameters)
    return _known(path_parameters, "key", r"[A-Z0-9_]+", ["ALPHA", "BETA"])
