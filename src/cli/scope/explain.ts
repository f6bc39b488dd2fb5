// `latchkey scope explain <scope>`: what it lets one do: itself, what it implies, and the endpoints that need it.
import { LatchkeyError } from '@latchkey/sdk/client'
import { Command } from 'commander'
import { type Endpoint, endpointTable, lineOf, readCatalog } from '../catalog/view.ts'
import { Failure } from '../failure.ts'
import { fields } from '../people.ts'
import { remote } from '../remote.ts'
import { type Scope, scopesOf } from './view.ts'

export const explain = () =>
  remote(
    new Command('explain')
      .description('Show what a scope lets one do, and which endpoints need it')
      .argument('<scope>', 'resource:action'),
    async ({ client, output }, _options, name = '') => {
      const catalog = await readCatalog(client, { scope: name }).catch(unknown)
      const scope = scopesOf(catalog).find((one) => one.name === name)!
      output.show({
        json: { scope, endpoints: catalog.endpoints.map(lineOf) },
        quiet: catalog.endpoints.map(({ id }) => id),
        people: () => `${fields(pairsOf(scope))}\n\n${endpointsOf(catalog.endpoints)}`,
      })
    },
    { signIn: 'optional' },
  )

/** Of a filter Latchkey says that it is not valid; here it is what was asked about. */
function unknown(error: unknown): never {
  if (error instanceof LatchkeyError && error.errors.some((one) => one.parameter === 'scope'))
    throw new Failure('notFound', 'not-found', error.message, 'See: latchkey scope list')
  throw error
}

const pairsOf = ({ name, title, description, service, group, risk, implies, maxLifetimeDays }: Scope) =>
  (
    [
      ['scope', name],
      ['title', title],
      ['description', description],
      ['service', service],
      ['group', group],
      ['risk', risk],
      ['implies', implies],
      ['longest life', maxLifetimeDays === null ? null : `${maxLifetimeDays} days`],
    ] as const
  ).filter(([, value]) => value !== null && value.length > 0)

const endpointsOf = (endpoints: readonly Endpoint[]): string =>
  endpoints.length > 0 ? endpointTable(endpoints.map(lineOf)) : 'No endpoint needs it.'
