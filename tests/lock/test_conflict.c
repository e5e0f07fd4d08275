#include "lock/conflict.h"
#include "tests/lib/test.h"

/* What is before the conflict, our side, the common origin (NULL: git did not write it), their
 * side, what is behind. What it becomes is what npm 11.19 makes of it. */
static const struct {
	const char *before, *ours, *base, *theirs, *behind, *becomes;
} merges[] = {
	{ "{'s':1,", "'x':1,", NULL, "'z':2,", "'e':0}", "{'s':1,'z':2,'e':0,'x':1}" },
	{ "{'s':1,", "'x':{'q':1},'y':[1],", "'x':{'p':2},", "'x':[3],", "'e':0}",
	  "{'s':1,'x':{'q':1},'e':0,'y':[1]}" },
	{ "{", "'a':{'b':{'c':1}},", "'a':{'b':{'c':2}},", "'a':3,", "'e':0}",
	  "{'a':{'b':{'c':1}},'e':0}" },
	{ "{", "'a':{'b':{'c':1}},", "'a':{'b':{}},", "'a':{'b':null},", "'e':0}",
	  "{'a':{'b':{'c':1}},'e':0}" },
	{ "{", "'a':{'b':{'c':1}},", "'a':{'b':{}},", "'a':{'b':5},", "'e':0}",
	  "{'a':{'b':5},'e':0}" },
	{ "{", "'a':[1,2,3],", "'a':[0,1,2,3],", "'a':[0,1,2,3,4],", "'e':0}",
	  "{'a':[1,2,3,4],'e':0}" },
	{ "{", "'a':[0,1,2],", "'a':[0,1,2,3],", "'a':[0,1,2,3,4],", "'e':0}",
	  "{'a':[0,1,2,4],'e':0}" },
	{ "{", "'a':['x','y'],", "'a':['x'],", "'a':['x','z','w'],", "'e':0}",
	  "{'a':['x','y','w'],'e':0}" },
	{ "{", "'a':['x','y'],", "'a':['x'],", "'a':{'0':'x'},", "'e':0}",
	  "{'a':{'0':'x','1':'y'},'e':0}" },
	{ "{", "'a':{'k':1},", "'a':{},", "'a':['x'],", "'e':0}", "{'a':['x'],'e':0}" },
	{ "{", "'a':{'k':1},", "'a':{'k':2},", "'a':['x'],", "'e':0}", "{'a':{'k':1},'e':0}" },
	{ "{'a':1,'a':{'b':2},", "'x':1,", NULL, "'x':2,'x':3,", "'e':0}",
	  "{'a':{'b':2},'x':1,'e':0}" },
	{ "{", "'toString':1,'prototype':{'a':1},", NULL, "'x':2,", "'e':0}",
	  "{'x':2,'e':0,'prototype':{'a':1}}" },
	{ "{", "'prototype':{'a':1},", "'prototype':{},", "'prototype':{'b':3},", "'e':0}",
	  "{'prototype':{'b':3,'a':1},'e':0}" },
	{ "{", "'a':{'m':1},", "'a':{'m':1,'n':{'o':1}},", "'a':{'m':2,'n':{'o':2,'p':3}},",
	  "'e':0}", "{'a':{'m':2},'e':0}" },
	{ "{", "'a':[{'u':1},{'v':2}],", "'a':[{'u':1},{'w':3},{'v':2}],",
	  "'a':[{'u':1},{'w':3},{'v':2},9],", "'e':0}", "{'a':[{'u':1},{'v':2},9],'e':0}" },
	{ "{", "'a':[['k'],'z'],", "'a':['y',['k'],'z'],", "'a':['y',['k'],'z'],", "'e':0}",
	  "{'a':[['k'],'z'],'e':0}" },
	{ "{", "'a':null,'b':true,'c':'1',", "'a':0,'b':false,'c':1,", "'a':5,'b':6,'c':7,",
	  "'e':0}", "{'a':null,'b':true,'c':'1','e':0}" },
	{ "{", "'a':{'p':{'q':1}},", "'a':{'p':{'q':1,'r':2}},", "", "'e':0}",
	  "{'e':0,'a':{'p':{'r':null}}}" },
	{ "{", "'a':{'x':1},", "'a':{'x':{'y':2}},", "'a':{'x':{'y':3}},", "'e':0}",
	  "{'a':{'x':1},'e':0}" },
};

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	for (char *s = copy; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	return copy;
}

/* The conflict as git writes it. */
static char *conflict(size_t i, const char *eol)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	auto_free char *text = NULL;

	buf_addf(&b, "%s%s<<<<<<< HEAD%s%s%s", merges[i].before, eol, eol, merges[i].ours, eol);
	if (merges[i].base)
		buf_addf(&b, "||||||| base%s%s%s", eol, merges[i].base, eol);
	buf_addf(&b, "=======%s%s%s>>>>>>> theirs%s%s", eol, merges[i].theirs, eol, eol,
		 merges[i].behind);
	text = buf_steal_str(&b);
	return quoted(text);
}

static void becomes(size_t i, const char *eol)
{
	auto_free char *text = conflict(i, eol), *expect = quoted(merges[i].becomes), *got = NULL;
	auto_buf struct buf b = BUF_INIT(1 << 16);
	auto_json cJSON *j = NULL;
	struct err e = { 0 };

	cr_assert(conflict_is(slice_str(text)));
	cr_assert_eq(conflict_merge(&j, slice_str(text), &e), 0, "%zu: %s", i, e.msg);
	json_put(&b, j);
	got = buf_steal_str(&b);
	cr_expect(strcmp(got, expect) == 0, "%zu: %s, not %s", i, got, expect);
}

Test(conflict, merges_as_npm_does)
{
	for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
		becomes(i, "\n");
		becomes(i, "\r\n");
	}
}

Test(conflict, is_where_all_three_marks_are)
{
	cr_assert_not(conflict_is(SLICE("")));
	cr_assert_not(conflict_is(SLICE("{\"a\":\"<<<<<<\",\"b\":\"=======\",\"c\":\">>>>>>>\"}")));
	cr_assert_not(conflict_is(SLICE("<<<<<<<\n=======\n>>>>>>")));
	cr_assert_not(conflict_is(SLICE("<<<<<<<\n>>>>>>>\n")));
	cr_assert(conflict_is(SLICE("<<<<<<<=======>>>>>>>")));
}

static const struct {
	const char *text, *says;
} refusals[] = {
	{ "{\n<<<<<<<\n\"a\":1,\n=======\n>>>>>>>\n}", "our side is no JSON;" },
	{ "{\n<<<<<<<\n=======\n\"a\":1,\n>>>>>>>\n}", "their side is no JSON;" },
	{ "\n<<<<<<<\n{}\n=======\n{}\n>>>>>>>\n", "the common origin is no JSON;" },
	{ "[\n<<<<<<<\n=======\n>>>>>>>\n]", "the common origin is no JSON object" },
};

Test(conflict, refuses_sides_that_are_no_json_with_a_sentence)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct err e = { 0 };
		cJSON *j = NULL;

		cr_expect_eq(conflict_merge(&j, slice_str(refusals[i].text), &e), -EINVAL);
		cr_expect(strstr(e.msg, refusals[i].says), "%zu: %s", i, e.msg);
		cr_assert(j == NULL);
	}
}

/* As many entries as a large lock has, all changed by us; and many, with theirs in disorder. */
Test(conflict, a_large_one_is_merged_and_a_hostile_one_is_refused)
{
	for (int hostile = 0; hostile < 2; hostile++) {
		auto_buf struct buf b = BUF_INIT((size_t)64 << 20);
		auto_free char *text = NULL;
		auto_json cJSON *j = NULL;
		int n = hostile ? 40000 : 20000;

		buf_addstr(&b, "{\n<<<<<<<\n");
		for (int i = 0; i < n; i++)
			buf_addf(&b, "\"p%d\":2,", i);
		buf_addstr(&b, "\n|||||||\n");
		for (int i = 0; i < n; i++)
			buf_addf(&b, "\"p%d\":1,", i);
		buf_addstr(&b, "\n=======\n");
		for (int i = 0; i < n; i++)
			buf_addf(&b, "\"p%d\":3,", hostile ? (int)((int64_t)i * 7919 % n) : i);
		buf_addstr(&b, "\n>>>>>>>\n\"e\":0}");
		text = buf_steal_str(&b);
		if (hostile) {
			cr_assert_eq(conflict_merge(&j, slice_str(text), NULL), -E2BIG);
			continue;
		}
		cr_assert_eq(conflict_merge(&j, slice_str(text), NULL), 0);
		cr_assert_eq(json_get(j, "p19999")->valuedouble, 2);
	}
}
