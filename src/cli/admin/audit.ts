// `latchkey admin audit`: who did what, newest first.
import { Command } from 'commander'
import { addPageOptions, gather, noteMore, type PageOptions } from '../pages.ts'
import { table } from '../people.ts'
import { remote } from '../remote.ts'

type Options = PageOptions & {
  readonly tokenId?: string
  readonly subject?: string
  readonly service?: string
  readonly action?: string
  readonly since?: string
}

type Event = {
  readonly id: string
  readonly at: string
  readonly action: string
  readonly actor: string
  readonly tokenId: string | null
  readonly subject: string | null
  readonly serviceId: string | null
  readonly clientIp: string | null
  readonly detail: Readonly<Record<string, unknown>>
}

export const audit = () =>
  remote<Options>(
    addPageOptions(
      new Command('audit')
        .description('List audit events, newest first: who did what')
        .option('--token-id <id>', 'about this token')
        .option('--subject <subject>', 'about a subject and its tokens')
        .option('--service <id>', 'about a service')
        .option('--action <action>', 'as token.revoked')
        .option('--since <time>', 'at this time or later; RFC 3339, as 2027-02-19T00:00:00Z'),
    ),
    async ({ client, output }, options) => {
      const { tokenId, subject, service: serviceId, action, since } = options
      const filter = { tokenId, subject, serviceId, action, since }
      const { items, nextCursor } = await gather<Event>(client, '/api/v1/audit-events', filter, options)
      output.show({
        json: { events: items, nextCursor },
        quiet: items.map(({ id }) => id),
        people: () => (items.length > 0 ? eventTable(items) : 'No audit events.'),
      })
      noteMore(output, nextCursor)
    },
  )

/** To the second: people compare it with other logs. */
const eventTable = (events: readonly Event[]): string =>
  table(
    ['AT', 'ACTION', 'BY', 'FROM', 'ABOUT', 'DETAIL'],
    events.map((event) => [
      event.at.replace(/\.\d+Z$/, 'Z'),
      event.action,
      event.actor,
      event.clientIp,
      aboutOf(event),
      JSON.stringify(event.detail),
    ]),
  )

const aboutOf = ({ tokenId, subject, serviceId }: Event): string[] =>
  [tokenId, subject, serviceId].filter((one) => one !== null)
