/* npmrc_priv.h - how npmrc_load.c leaves things for npmrc.c. */
#pragma once
#include "core/arena.h"
#include "fetch/npmrc.h"

enum npmrc_source {
	NPMRC_OVERRIDE,
	NPMRC_ENV,
	NPMRC_PROJECT,
	NPMRC_USER,
	NPMRC_GLOBAL,
	NPMRC_BUILTIN,
};

struct npmrc_entry {
	const char *key;
	const char **values;
	uint32_t count, cap;
	uint8_t source; /* enum npmrc_source */
	bool array;     /* came as key[] */
	bool null;      /* set to null: hides lower sources, has no value */
	bool given;     /* not empty */
	bool dropped;   /* a value that the key cannot have, or hidden by a higher source */
};

struct npmrc {
	struct arena arena;
	struct npmrc_entry *entries; /* sorted by key once loaded; owned */
	uint32_t count, cap;
	const char *public_registry; /* NULL: none */
	const char *bad_registry;    /* who sets the registry to what is no URL, or NULL */
	const char *https_proxy, *http_proxy, *any_proxy,
		*no_proxy; /* the environment's, or NULL */
	bool production;   /* NODE_ENV */
};

/* Gives an entry's text the form that its key has (booleans, paths, lists ...), or drops it. */
struct npmrc_context {
	const char *home, *base; /* for ~/ and for relative paths */
	const char *const *env;
};
int npmrc_convert(struct npmrc *rc, struct npmrc_entry *x,
		  const struct npmrc_context *c) must_check;

/* ${VAR}, ${VAR?}; in the arena; NULL when it is full. */
const char *npmrc_expand(struct arena *a, const char *text, const char *const *env) must_check;

/* The value of a variable in a list of "name=value", or NULL. */
const char *npmrc_env(const char *const *env, const char *name, size_t len);
