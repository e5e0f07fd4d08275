#include "tests/lock/sample.h"

#include "lock/entry.h"

#include <stdio.h>

const char sample_text[] =
	"{\n"
	"  \"name\": \"sample\",\n"
	"  \"version\": \"1.0.0\",\n"
	"  \"lockfileVersion\": 3,\n"
	"  \"requires\": true,\n"
	"  \"packages\": {\n"
	"    \"\": {\n"
	"      \"name\": \"sample\",\n"
	"      \"version\": \"1.0.0\",\n"
	"      \"license\": \"MIT\",\n"
	"      \"workspaces\": [\n"
	"        \"packages/*\"\n"
	"      ],\n"
	"      \"dependencies\": {\n"
	"        \"@s/scoped\": \"^2.0.0\",\n"
	"        \"alias\": \"npm:real@^1.0.0\",\n"
	"        \"bundler\": \"1.x\",\n"
	"        \"ext\": \"file:../ext\",\n"
	"        \"plain\": \"^1.0.0\"\n"
	"      },\n"
	"      \"devDependencies\": {\n"
	"        \"dev\": \"*\"\n"
	"      },\n"
	"      \"optionalDependencies\": {\n"
	"        \"opt\": \"1.0.0\"\n"
	"      }\n"
	"    },\n"
	"    \"../ext\": {\n"
	"      \"version\": \"0.0.1\"\n"
	"    },\n"
	"    \"node_modules/@s/scoped\": {\n"
	"      \"version\": \"2.1.0\",\n"
	"      \"resolved\": \"http://registry.test/@s/scoped/-/scoped-2.1.0.tgz\",\n"
	"      \"integrity\": \"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+"
	"DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\",\n"
	"      \"license\": \"ISC\",\n"
	"      \"dependencies\": {\n"
	"        \"plain\": \"^2.0.0\"\n"
	"      },\n"
	"      \"bin\": {\n"
	"        \"one\": \"bin/one.js\",\n"
	"        \"two\": \"bin/two.js\"\n"
	"      },\n"
	"      \"engines\": {\n"
	"        \"node\": \">=10\"\n"
	"      }\n"
	"    },\n"
	"    \"node_modules/@s/scoped/node_modules/plain\": {\n"
	"      \"version\": \"2.0.0\",\n"
	"      \"integrity\": \"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= "
	"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\"\n"
	"    },\n"
	"    \"node_modules/a\": {\n"
	"      \"resolved\": \"packages/a\",\n"
	"      \"link\": true\n"
	"    },\n"
	"    \"node_modules/alias\": {\n"
	"      \"name\": \"real\",\n"
	"      \"version\": \"1.2.3\",\n"
	"      \"integrity\": \"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=\",\n"
	"      \"deprecated\": \"use \\\"that\\\" instead\\n\",\n"
	"      \"hasInstallScript\": true,\n"
	"      \"funding\": {\n"
	"        \"type\": \"x\",\n"
	"        \"url\": \"http://funding.test\"\n"
	"      },\n"
	"      \"peerDependencies\": {\n"
	"        \"missing\": \"*\",\n"
	"        \"plain\": \"1\"\n"
	"      },\n"
	"      \"peerDependenciesMeta\": {\n"
	"        \"missing\": {\n"
	"          \"optional\": true\n"
	"        }\n"
	"      }\n"
	"    },\n"
	"    \"node_modules/bundler\": {\n"
	"      \"version\": \"1.0.0\",\n"
	"      \"bundleDependencies\": [\n"
	"        \"inner\"\n"
	"      ],\n"
	"      \"dependencies\": {\n"
	"        \"inner\": \"*\"\n"
	"      }\n"
	"    },\n"
	"    \"node_modules/bundler/node_modules/inner\": {\n"
	"      \"version\": \"0.1.0\",\n"
	"      \"inBundle\": true,\n"
	"      \"license\": \"MIT\"\n"
	"    },\n"
	"    \"node_modules/dev\": {\n"
	"      \"version\": \"3.0.0\",\n"
	"      \"dev\": true,\n"
	"      \"dependencies\": {\n"
	"        \"plain\": \"^1.0.0\"\n"
	"      }\n"
	"    },\n"
	"    \"node_modules/ext\": {\n"
	"      \"resolved\": \"../ext\",\n"
	"      \"link\": true\n"
	"    },\n"
	"    \"node_modules/opt\": {\n"
	"      \"version\": \"1.0.0\",\n"
	"      \"cpu\": [\n"
	"        \"x64\"\n"
	"      ],\n"
	"      \"libc\": [\n"
	"        \"glibc\"\n"
	"      ],\n"
	"      \"optional\": true,\n"
	"      \"os\": [\n"
	"        \"linux\",\n"
	"        \"darwin\"\n"
	"      ]\n"
	"    },\n"
	"    \"node_modules/plain\": {\n"
	"      \"version\": \"1.0.0\"\n"
	"    },\n"
	"    \"packages/a\": {\n"
	"      \"version\": \"0.0.0\",\n"
	"      \"dependencies\": {\n"
	"        \"plain\": \"^2.0.0\"\n"
	"      }\n"
	"    },\n"
	"    \"packages/a/node_modules/plain\": {\n"
	"      \"version\": \"2.0.0\",\n"
	"      \"integrity\": \"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= "
	"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\"\n"
	"    }\n"
	"  }\n"
	"}\n";

static void fill_tops(struct graph *g, const char *text)
{
	auto_json cJSON *j = NULL;

	cr_assert_eq(json_parse(&j, slice_str(text), NULL), 0);
	for (uint32_t i = 0; i < g->count; i++) {
		struct graph_node *n = &g->nodes[i];
		const cJSON *entry = json_get(json_get(j, "packages"), n->path);

		if (n->flags & NODE_TOP && entry)
			cr_assert_eq(entry_read(g, n, entry, BINS_LOCK, "sample", NULL), 0);
		if (n->flags & NODE_TOP && i && strncmp(n->path, "packages/", 9) == 0)
			n->flags |= NODE_WORKSPACE;
	}
}

struct graph *sample_graph(const char *text)
{
	const struct npmlock_options o = { 0 };
	struct graph *g = NULL;
	struct err e = { 0 };

	if (npmlock_parse(&g, slice_str(text), &o, &e) < 0)
		(void)fprintf(stderr, "sample: %s\n", e.msg);
	cr_assert(g != NULL);
	fill_tops(g, text);
	cr_assert_eq(graph_edges(g, &o.graph, NULL), 0);
	cr_assert_eq(graph_flags(g, NULL), 0);
	return g;
}

static void same_text(const char *a, const char *b)
{
	cr_assert((!a && !b) || (a && b && strcmp(a, b) == 0));
}

static void same_list(const struct graph_strings *a, const struct graph_strings *b)
{
	cr_assert_eq(a->given, b->given);
	cr_assert_eq(a->count, b->count);
	for (uint32_t i = 0; i < a->count; i++)
		same_text(a->items[i], b->items[i]);
}

static void same_runs(const struct graph_node *a, const struct graph_node *b)
{
	cr_assert_eq(a->dep_count, b->dep_count);
	for (uint32_t i = 0; i < a->dep_count; i++) {
		same_text(a->deps[i].name, b->deps[i].name);
		same_text(a->deps[i].spec, b->deps[i].spec);
		cr_assert_eq(a->deps[i].section, b->deps[i].section);
		cr_assert_eq(a->deps[i].peer_optional, b->deps[i].peer_optional);
	}
	cr_assert_eq(a->bin_count, b->bin_count);
	for (uint32_t i = 0; i < a->bin_count; i++) {
		same_text(a->bins[i].name, b->bins[i].name);
		same_text(a->bins[i].target, b->bins[i].target);
	}
}

static void same_node(const struct graph_node *a, const struct graph_node *b)
{
	same_text(a->path, b->path);
	same_text(a->name, b->name);
	same_text(a->pkg_name, b->pkg_name);
	same_text(a->version, b->version);
	same_text(a->resolved, b->resolved);
	same_text(a->integrity, b->integrity);
	same_text(a->engine_node, b->engine_node);
	same_text(a->engine_npm, b->engine_npm);
	same_text(a->residue ? a->residue : "", b->residue ? b->residue : "");
	cr_assert_eq(a->parent, b->parent);
	cr_assert_eq(a->fs_parent, b->fs_parent);
	cr_assert_eq(a->link_target, b->link_target);
	cr_assert_eq(a->flags, b->flags);
	same_list(&a->os, &b->os);
	same_list(&a->cpu, &b->cpu);
	same_list(&a->libc, &b->libc);
	same_list(&a->bundled, &b->bundled);
	same_list(&a->accept, &b->accept);
	same_runs(a, b);
}

static void same_edges(const struct graph *a, const struct graph *b, uint32_t node)
{
	const struct graph_node *n = &a->nodes[node], *m = &b->nodes[node];

	cr_assert_eq(n->edge_count, m->edge_count);
	for (uint32_t k = 0; k < n->edge_count; k++) {
		const struct graph_edge *x = &a->edges[n->first_edge + k],
					*y = &b->edges[m->first_edge + k];

		same_text(x->name, y->name);
		same_text(x->spec, y->spec);
		cr_assert_eq(x->from, y->from);
		cr_assert_eq(x->to, y->to);
		cr_assert_eq(x->type, y->type);
		cr_assert_eq(x->valid, y->valid);
	}
}

void sample_same(const struct graph *a, const struct graph *b)
{
	cr_assert_eq(a->count, b->count);
	cr_assert_eq(a->edge_count, b->edge_count);
	for (uint32_t i = 0; i < a->count; i++) {
		same_node(&a->nodes[i], &b->nodes[i]);
		same_edges(a, b, i);
		cr_assert_eq(graph_find(b, a->nodes[i].path), i);
		if (a->nodes[i].parent != GRAPH_NONE)
			cr_assert_eq(graph_child(b, a->nodes[i].parent, a->nodes[i].name), i);
	}
	cr_assert_eq(a->lockfile_version, b->lockfile_version);
	cr_assert_eq(a->shrinkwrap, b->shrinkwrap);
	same_text(a->name, b->name);
	same_text(a->version, b->version);
	same_text(a->top_residue ? a->top_residue : "", b->top_residue ? b->top_residue : "");
	same_text(a->style.indent, b->style.indent);
	cr_assert_eq(a->style.crlf, b->style.crlf);
	cr_assert_eq(a->style.no_final_newline, b->style.no_final_newline);
}
