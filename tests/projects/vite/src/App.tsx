import { useState } from 'react';

import { plural } from './plural.js';

export function App() {
  const [clicks, setClicks] = useState(0);

  return <button onClick={() => setClicks(clicks + 1)}>{plural(clicks, 'click')}</button>;
}
