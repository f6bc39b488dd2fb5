// Lists of the API, which come in pages: one of them, or with --all every one.
import { type Client, nextQuery, type Query } from '@latchkey/sdk/client'
import { type Command, Option } from 'commander'
import type { Output } from './output.ts'

export type PageOptions = { readonly limit?: string; readonly cursor?: string; readonly all?: true }

export const addPageOptions = (command: Command): Command =>
  command
    .option('--limit <number>', 'of a page, at most 100 (default: 30)')
    .option('--cursor <cursor>', 'the page after the one that ended with it')
    .addOption(new Option('--all', 'all pages').conflicts('cursor'))

export type Gathered<T> = { readonly items: readonly T[]; readonly nextCursor: string | null }

export async function gather<T>(
  client: Client,
  path: string,
  filter: Query,
  { limit, cursor, all }: PageOptions,
): Promise<Gathered<T>> {
  const items: T[] = []
  for await (const { body, headers } of client.pages<T[]>(path, { query: { ...filter, limit, cursor } })) {
    items.push(...body)
    const nextCursor = String(nextQuery(headers)?.['cursor'] ?? '') || null
    if (!all) return { items, nextCursor }
  }
  return { items, nextCursor: null }
}

export function noteMore(output: Output, nextCursor: string | null): void {
  if (nextCursor !== null) output.note(`There are more: --cursor ${nextCursor}, or --all.`)
}
