// `latchkey token list`: the tokens that the caller may see, newest first; a page, or all of them.
import { nextQuery } from '@latchkey/sdk/client'
import { Command, Option } from 'commander'
import { remote } from '../remote.ts'
import { type Token, tokenTable } from './view.ts'

/** Options that are query parameters of the same name. */
const filters = [
  'status',
  'type',
  'subject',
  'team',
  'scope',
  'createdAfter',
  'createdBefore',
  'expiresBefore',
  'lastUsedBefore',
  'limit',
  'cursor',
] as const
type Options = { readonly [name in (typeof filters)[number] | 'search']?: string } & { readonly all?: true }

export const list = () =>
  remote<Options>(
    new Command('list')
      .description('List tokens, newest first; without --status, all but the revoked')
      .addOption(new Option('--status <status>').choices(['active', 'disabled', 'expired', 'revoked', 'any']))
      .addOption(new Option('--type <type>').choices(['personal', 'service', 'federated']))
      .option('--subject <subject>', 'whose; others’ than your own need tokens:admin')
      .option('--team <team>')
      .option('--scope <scope>', 'that were given this scope')
      .option('--search <text>', 'part of name, description or hint')
      .option('--created-after <time>', 'RFC 3339, as 2027-02-19T00:00:00Z')
      .option('--created-before <time>')
      .option('--expires-before <time>')
      .option('--last-used-before <time>', 'or "never"')
      .option('--limit <number>', 'of a page, at most 100 (default: 30)')
      .option('--cursor <cursor>', 'the page after the one that ended with it')
      .addOption(new Option('--all', 'all pages').conflicts('cursor')),
    async ({ client, output }, options) => {
      const named = Object.fromEntries(filters.map((name) => [name, options[name]]))
      const query = { ...named, q: options.search }
      const tokens: Token[] = []
      let next: string | null = null
      for await (const page of client.pages<Token[]>('/api/v1/tokens', { query })) {
        tokens.push(...page.body)
        next = String(nextQuery(page.headers)?.['cursor'] ?? '') || null
        if (!options.all) break
      }
      output.show({
        json: { tokens, nextCursor: next },
        quiet: tokens.map(({ id }) => id),
        people: () => (tokens.length > 0 ? tokenTable(tokens) : 'No tokens.'),
      })
      if (next !== null) output.note(`There are more: --cursor ${next}, or --all.`)
    },
  )
