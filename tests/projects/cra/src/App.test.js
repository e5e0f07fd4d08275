import { fireEvent, render, screen } from '@testing-library/react';

import App from './App';

test('counts clicks', () => {
  render(<App />);
  fireEvent.click(screen.getByText(/clicked 0/));
  expect(screen.getByText(/clicked 1/)).toBeInTheDocument();
});
