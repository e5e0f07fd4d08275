import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [react()],
  // Not in node_modules, which may be a mount for reading.
  test: { cache: { dir: '.vitest' } },
});
