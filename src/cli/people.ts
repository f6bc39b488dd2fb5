// Text for people: aligned tables and `key: value` lines. Pure; what goes where is output.ts.
import { styleText } from 'node:util'
import { shell } from './shell.ts'

export type Cell = string | number | boolean | null | undefined | readonly string[]

/** What others wrote must not steer the terminal of who reads it. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, '�')

const shown = (cell: Cell): string => {
  if (cell === null || cell === undefined || cell === '') return '-'
  return plain(typeof cell === 'object' ? cell.join(' ') || '-' : String(cell))
}

/** The last column is as long as it is. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map(shown))
  const widths = headings.map((heading, column) =>
    Math.max(...[heading, ...cells.map((row) => row[column]!)].map((text) => text.length)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  const first = line(headings)
  return [shell.colour ? styleText('bold', first) : first, ...cells.map(line)].join('\n')
}

export function fields(pairs: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 1
  return pairs.map(([name, value]) => `${`${name}:`.padEnd(width)} ${shown(value)}`).join('\n')
}

/** An instant, to the minute, with its zone; `none` is what no instant means here. */
export const instant = (iso: string | null, none: string): string =>
  iso === null ? none : iso.replace(/:\d\d(\.\d+)?Z$/, 'Z').replace('T', ' ')
