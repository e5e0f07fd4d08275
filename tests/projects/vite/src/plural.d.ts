export function plural(n: number, noun: string): string;
