const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `3.1 GiB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d` */
export function secondsText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `1,842`; at the number that was counted to, `10,000 or more`. */
export function countText(count: number, cap?: number): string {
  const text = count.toLocaleString('en-US');
  return cap !== undefined && count >= cap ? `${text} or more` : text;
}
