// `latchkey token list`: the tokens that the caller may see, newest first; a page, or all of them.
import { Command, Option } from 'commander'
import { addPageOptions, gather, noteMore, type PageOptions } from '../pages.ts'
import { type Remote, remote } from '../remote.ts'
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
] as const
type Options = PageOptions & { readonly [name in (typeof filters)[number] | 'search']?: string }

export const list = () =>
  listing('list', 'List tokens, newest first; without --status, all but the revoked', async () => {})

/** @param admit throws if the caller would be shown something else than the name says */
export const listing = (name: string, description: string, admit: (remote: Remote) => Promise<void>) =>
  remote<Options>(
    addPageOptions(
      new Command(name)
        .description(description)
        .addOption(
          new Option('--status <status>').choices(['active', 'disabled', 'expired', 'revoked', 'any']),
        )
        .addOption(new Option('--type <type>').choices(['personal', 'service', 'federated']))
        .option('--subject <subject>', 'whose; others’ than your own need tokens:admin')
        .option('--team <team>')
        .option('--scope <scope>', 'that were given this scope')
        .option('--search <text>', 'part of name, description or hint')
        .option('--created-after <time>', 'RFC 3339, as 2027-02-19T00:00:00Z')
        .option('--created-before <time>')
        .option('--expires-before <time>')
        .option('--last-used-before <time>', 'or "never"'),
    ),
    async (remote, options) => {
      await admit(remote)
      const { client, output } = remote
      const named = Object.fromEntries(filters.map((name) => [name, options[name]]))
      const filter = { ...named, q: options.search }
      const { items, nextCursor } = await gather<Token>(client, '/api/v1/tokens', filter, options)
      output.show({
        json: { tokens: items, nextCursor },
        quiet: items.map(({ id }) => id),
        people: () => (items.length > 0 ? tokenTable(items) : 'No tokens.'),
      })
      noteMore(output, nextCursor)
    },
  )
