/** Dates as Python's `strftime` writes them, in the C locale and local time: what templates call `strftime_now` for. */

const months = 'January February March April May June July August September October November December'.split(' ');
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const two = (value: number): string => `${value}`.padStart(2, '0');

/** Formats a date; a directive that is not known stays as it is. */
export function strftime(date: Date, format: string): string {
  const hour12 = date.getHours() % 12 === 0 ? 12 : date.getHours() % 12;
  const startOfYear = Date.UTC(date.getFullYear(), 0, 1);
  const dayOfYear = (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - startOfYear) / 86_400_000 + 1;
  const values: Readonly<Record<string, string>> = {
    a: days[date.getDay()]!.slice(0, 3),
    A: days[date.getDay()]!,
    b: months[date.getMonth()]!.slice(0, 3),
    B: months[date.getMonth()]!,
    d: two(date.getDate()),
    e: `${date.getDate()}`.padStart(2, ' '),
    f: `${date.getMilliseconds()}`.padStart(3, '0').padEnd(6, '0'),
    H: two(date.getHours()),
    I: two(hour12),
    j: `${dayOfYear}`.padStart(3, '0'),
    m: two(date.getMonth() + 1),
    M: two(date.getMinutes()),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    S: two(date.getSeconds()),
    w: `${date.getDay()}`,
    y: two(date.getFullYear() % 100),
    Y: `${date.getFullYear()}`,
    '%': '%',
  };
  const plain = format.replaceAll('%F', '%Y-%m-%d').replaceAll('%T', '%H:%M:%S').replaceAll('%D', '%m/%d/%y');
  return plain.replaceAll(/%(-?)([a-zA-Z%])/g, (directive, dash: string, letter: string) => {
    const value = values[letter];
    if (value === undefined) return directive;
    return dash === '-' ? value.replace(/^[0 ]+(?=.)/, '') : value;
  });
}
