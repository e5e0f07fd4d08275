export default function About() {
  return <p className="italic">Built from a mounted node_modules.</p>;
}
