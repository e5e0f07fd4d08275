#include "fetch/ingest.h"

static int wrong(const struct digest *expected, const struct digest *actual, struct err *e)
{
	char want[DIGEST_TEXT_MAX], have[DIGEST_TEXT_MAX];

	digest_format(expected, want);
	digest_format(actual, have);
	return err_set(e, -EBADMSG, "wrong bytes: expected %s, received %s", want, have);
}

/* The tarball's digest of this kind. */
static int digest_as(struct digest *ret, enum digest_alg alg, struct slice tarball,
		     const struct digest *sha512, struct err *e)
{
	int r = 0;

	if (alg == DIGEST_SHA512 && sha512)
		*ret = *sha512;
	else
		r = digest_of(ret, alg, tarball.ptr, tarball.len);
	return r < 0 ? err_set(e, r, "computing the archive's digest: %s", strerror(-r)) : 0;
}

static int check_integrity(const struct ingest_request *rq, struct slice tarball,
			   const struct digest *sha512, bool *ret_key_proven, struct err *e)
{
	struct digest actual;
	struct sri sri;
	int r = sri_parse(&sri, slice_str(rq->integrity), e);

	if (r < 0)
		return r;
	r = digest_as(&actual, sri.digests[0].alg, tarball, sha512, e);
	if (r < 0)
		return r;
	if (!sri_has(&sri, &actual))
		return wrong(&sri.digests[0], &actual, e);
	*ret_key_proven = sri_has(&sri, &rq->key);
	return 0;
}

static int check(const struct ingest_request *rq, struct slice tarball, const struct digest *sha512,
		 struct err *e)
{
	bool proven = rq->key.alg == DIGEST_NONE || rq->key.alg == DIGEST_UNPINNED, in_sri = false;
	struct digest actual;
	int r = 0;

	if (rq->integrity)
		r = check_integrity(rq, tarball, sha512, &in_sri, e);
	if (r < 0 || proven || in_sri)
		return r;
	r = digest_as(&actual, rq->key.alg, tarball, sha512, e);
	if (r < 0)
		return r;
	return digest_eq(&actual, &rq->key) ? 0 : wrong(&rq->key, &actual, e);
}

static int put(struct store *s, const struct ingest_request *rq, const struct ingest_files *f,
	       struct ingest_result *res, struct err *e)
{
	struct dxp_meta meta = {
		.name = rq->name ? rq->name : "",
		.version = rq->version ? rq->version : "",
		.sha512 = res->sha512,
	};

	if (!digest_eq(&rq->key, &res->sha512))
		meta.key = rq->key;
	res->files = f->list.count;
	return store_put(s, &meta, f->list.files, f->list.count,
			 rq->key.alg == DIGEST_UNPINNED ? STORE_PUT_UNPINNED : 0, &res->existed, e);
}

int ingest(struct store *s, const struct ingest_request *rq, struct slice tarball,
	   const struct digest *sha512, struct ingest_result *ret, struct err *e)
{
	auto_ingest_files struct ingest_files files = INGEST_FILES_INIT;
	const struct gunzip_options o = { .tmp_dir = store_dir(s), .scratch = rq->scratch };
	struct ingest_result res = { 0 };
	int r = digest_as(&res.sha512, DIGEST_SHA512, tarball, sha512, e);

	if (r == 0)
		r = check(rq, tarball, &res.sha512, e);
	if (r == 0)
		r = ingest_unpack(&files, tarball, &o, e);
	if (r == 0)
		r = put(s, rq, &files, &res, e);
	if (r == 0)
		*ret = res;
	return r;
}
