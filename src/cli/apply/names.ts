// Names in a file that cannot be meant: that stand twice, or that are of nothing there is, here or in the file.
import { didYouMean } from '../../http/nearest.ts'
import { type Catalog, catalogWith } from './catalog.ts'
import type { Wrong } from './check.ts'
import { guides, keys, lists, type Wanted } from './wanted.ts'

export function wrongNames(wanted: Wanted, catalog: Catalog): Wrong[] {
  const { scopes, services } = catalogWith(catalog, wanted)
  return [
    ...repeated(wanted),
    ...ownService(wanted),
    ...unknown('No service declares the scope', namedScopes(wanted), [...scopes.keys()]),
    ...unknown('There is no service', namedServices(wanted), [...services]),
  ]
}

const unknown = (what: string, named: readonly Named[], known: readonly string[]): Wrong[] =>
  named
    .filter(({ name }) => !known.includes(name))
    .map(({ pointer, name }) => ({ pointer, detail: `${what} "${name}".${didYouMean(name, known)}` }))

type Named = { readonly pointer: string; readonly name: string }

const each = (pointer: string, names: readonly string[] = []): Named[] =>
  names.map((name, at) => ({ pointer: `${pointer}/${at}`, name }))

function namedScopes({ services = [], trustPolicies = [], tokens = [] }: Wanted): Named[] {
  return [
    ...services.flatMap((service, at) =>
      guides.flatMap((list) =>
        (service[list] ?? []).flatMap(({ scopes }, index) =>
          each(`/services/${at}/${list}/${index}/scopes`, scopes),
        ),
      ),
    ),
    ...trustPolicies.flatMap(({ scopes }, at) => each(`/trustPolicies/${at}/scopes`, scopes)),
    ...tokens.flatMap(({ scopes }, at) => each(`/tokens/${at}/scopes`, scopes)),
  ]
}

const namedServices = ({ trustPolicies = [], tokens = [] }: Wanted): Named[] => [
  ...trustPolicies.flatMap(({ services }, at) => each(`/trustPolicies/${at}/services`, services)),
  ...tokens.flatMap(({ audience }, at) => each(`/tokens/${at}/audience`, audience)),
]

/** By these things are found again, so each is there once. */
function repeated({ services = [], trustPolicies = [], tokens = [] }: Wanted): Wrong[] {
  return [
    ...twice(
      '/services',
      services.map(({ id }) => id),
    ),
    ...services.flatMap((service, at) =>
      lists.flatMap((list) =>
        twice(
          `/services/${at}/${list}`,
          (service[list] ?? []).map((item) => String(item[keys[list]])),
        ),
      ),
    ),
    ...twice(
      '/trustPolicies',
      trustPolicies.map(({ name }) => name),
    ),
    ...twice(
      '/tokens',
      tokens.map(({ subject, name }) => `${name}" of "${subject}`),
    ),
  ]
}

const twice = (pointer: string, names: readonly string[]): Wrong[] =>
  names.flatMap((name, at) =>
    names.indexOf(name) === at
      ? []
      : [{ pointer: `${pointer}/${at}`, detail: `"${name}" stands here twice.` }],
  )

export const ownServiceId = 'latchkey'

const ownService = ({ services = [] }: Wanted): Wrong[] =>
  services.flatMap(({ id }, at) =>
    id === ownServiceId
      ? [{ pointer: `/services/${at}/id`, detail: 'Latchkey’s own service is declared by Latchkey itself.' }]
      : [],
  )
