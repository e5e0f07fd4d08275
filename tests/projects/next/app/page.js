import Link from 'next/link';

export default function Page() {
  return (
    <main className="mx-auto max-w-prose">
      <h1 className="text-2xl font-bold">A page</h1>
      <Link className="underline" href="/about">
        About
      </Link>
    </main>
  );
}
