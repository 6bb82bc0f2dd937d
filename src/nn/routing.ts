/**
 * Routed experts (Shazeer et al. 2017): a softmax router sends each token to k of E experts. Rows are sorted by expert, so
 * that an expert sees the rows that were sent to it and no others, and an expert that nothing was sent to computes nothing.
 */
import * as g from '../graph/index.ts';

/** Where each token goes. N tokens, k experts each, NK = N x k rows. */
export interface Routing {
  /** f32[N, k]: what each chosen expert's result counts. */
  readonly weights: g.Node;
  /** int64[NK]: the row (token x k + choice) of each place once rows are sorted by expert. */
  readonly order: g.Node;
  /** int64[NK]: the place of each row. */
  readonly places: g.Node;
  /** int64[E + 1]: expert e has the places from `bounds[e]` to `bounds[e + 1]`. */
  readonly bounds: g.Node;
  readonly perToken: number;
}

const iota = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/**
 * The k most probable experts of each token.
 * @param logits f32[N, E]; @param normalizes the chosen probabilities are divided by their sum.
 */
export function routeToExperts(logits: g.Node, perToken: number, normalizes: boolean): Routing {
  const [tokens, experts] = logits.shape as [g.Dim, number];
  const probabilities = g.softmax(logits);
  const chosen = g.order(probabilities, 'descending', perToken);
  // [N, k, E]: one column of each row is picked
  const isChosen = g.equal(
    g.reshape(chosen, [tokens, perToken, 1]),
    g.constant(iota(experts), [1, 1, experts], 'int64'),
  );
  const picked = g.where(isChosen, g.reshape(probabilities, [tokens, 1, experts]), g.scalar(0));
  const values = g.reshape(g.reduceSum(picked, [2]), [tokens, perToken]);
  const expertOfRow = g.reshape(chosen, ['NK']);
  const order = g.order(expertOfRow, 'ascending');
  // bounds[e]: rows of the experts before e
  const before = g.less(g.reshape(expertOfRow, [1, 'NK']), g.constant(iota(experts + 1), [experts + 1, 1], 'int64'));
  return {
    weights: normalizes ? g.div(values, g.reduceSum(values, [1])) : values,
    order,
    places: g.order(order, 'ascending'),
    bounds: g.reshape(g.reduceSum(g.cast(before, 'int64'), [1]), [experts + 1]),
    perToken,
  };
}

/** x f32[N, D] as the experts see it, sorted by expert: f32[NK, D]. */
export function rowsForExperts(x: g.Node, { order, places, perToken }: Routing): g.Node {
  const [tokens, width] = x.shape as [g.Dim, number];
  const repeated = g.expand(g.reshape(x, [tokens, 1, width]), [tokens, perToken, width]);
  return g.permuteRows(g.reshape(repeated, ['NK', width]), order, places, 'none');
}

/** The experts' results f32[NK, D] weighted and summed by token: f32[N, D]. */
export function sumOverExperts(y: g.Node, { weights, order, places, perToken }: Routing): g.Node {
  const tokens = weights.shape[0]!;
  const width = y.shape[1] as number;
  const byToken = g.reshape(g.permuteRows(y, places, order, 'none'), [tokens, perToken, width]);
  const weighted = g.mul(byToken, g.reshape(weights, [tokens, perToken, 1]));
  return g.reshape(g.reduceSum(weighted, [1]), [tokens, width]);
}
