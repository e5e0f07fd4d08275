import './globals.css';

export const metadata = { title: 'next' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body className="bg-white p-4">{children}</body>
    </html>
  );
}
