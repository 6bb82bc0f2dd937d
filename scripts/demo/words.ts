/** The words of the demo texts. All are ours; nothing is taken from any data set. */

/** Adjectives that go with one kind of thing: each good one beside its bad counterpart. */
export interface Pairs {
  readonly good: readonly string[];
  readonly bad: readonly string[];
}

/** A thing that people write small reviews about. */
export interface Domain {
  /** The one-word topic. */
  readonly name: string;
  /** How a review calls the whole. */
  readonly whole: readonly string[];
  /** Its parts, each with the adjectives that go with it (a key of `adjectives`). */
  readonly parts: Readonly<Record<string, keyof typeof adjectives>>;
  /** What people do afterwards, where they liked it and where they did not. */
  readonly goodEnds: readonly string[];
  readonly badEnds: readonly string[];
  /** Facts without any judgement. */
  readonly facts: readonly string[];
}

/** Adjectives by kind of thing. `any` goes with everything. */
export const adjectives = {
  any: {
    good: [
      'great',
      'lovely',
      'excellent',
      'wonderful',
      'pleasant',
      'superb',
      'delightful',
      'brilliant',
      'perfect',
      'marvellous',
    ],
    bad: [
      'awful',
      'poor',
      'terrible',
      'dreadful',
      'disappointing',
      'horrible',
      'lousy',
      'miserable',
      'unpleasant',
      'hopeless',
    ],
  },
  food: {
    good: ['tasty', 'fresh', 'crisp', 'juicy', 'delicious', 'tender'],
    bad: ['bland', 'stale', 'soggy', 'greasy', 'burnt', 'sour'],
  },
  person: {
    good: ['friendly', 'helpful', 'polite', 'kind', 'patient', 'attentive'],
    bad: ['rude', 'careless', 'grumpy', 'impatient', 'lazy', 'arrogant'],
  },
  room: {
    good: ['clean', 'quiet', 'cosy', 'spotless', 'airy', 'comfortable'],
    bad: ['dirty', 'noisy', 'cramped', 'shabby', 'damp', 'uncomfortable'],
  },
  device: {
    good: ['fast', 'reliable', 'sturdy', 'sharp', 'handy', 'precise'],
    bad: ['sluggish', 'faulty', 'flimsy', 'blurry', 'clumsy', 'broken'],
  },
  story: {
    good: ['gripping', 'clever', 'moving', 'funny', 'original', 'thrilling'],
    bad: ['boring', 'silly', 'shallow', 'tedious', 'predictable', 'confusing'],
  },
  trip: {
    good: ['punctual', 'smooth', 'relaxing', 'safe', 'easy', 'cheerful'],
    bad: ['late', 'bumpy', 'stressful', 'dangerous', 'tiring', 'chaotic'],
  },
} as const satisfies Record<string, Pairs>;

/** Adjectives that stand in the pretraining text and in the unseen rows, never in the training rows. */
export const heldOut: ReadonlySet<string> = new Set([
  'marvellous',
  'superb',
  'tender',
  'attentive',
  'airy',
  'precise',
  'thrilling',
  'cheerful',
  'hopeless',
  'lousy',
  'sour',
  'arrogant',
  'damp',
  'broken',
  'predictable',
  'chaotic',
]);

/** What people do after anything that they liked, or did not. */
export const commonEnds: Readonly<Record<'good' | 'bad', readonly string[]>> = {
  good: ['I was happy', 'We were glad about it', 'I told my friends to try it', 'It made my day', 'I smiled for hours'],
  bad: [
    'I was angry',
    'We were sad about it',
    'I told my friends to avoid it',
    'It spoiled my day',
    'I want my money back',
  ],
};

export const domains: readonly Domain[] = [
  {
    name: 'restaurant',
    whole: ['restaurant', 'café', 'diner'],
    parts: {
      soup: 'food',
      bread: 'food',
      salad: 'food',
      fish: 'food',
      waiter: 'person',
      cook: 'person',
      table: 'room',
    },
    goodEnds: [
      'We asked for a second plate',
      'I finished every bite',
      'We will eat here again',
      'I booked a table for next week',
    ],
    badEnds: [
      'We left hungry',
      'I sent the plate back',
      'We will never eat here again',
      'I asked for the bill at once',
    ],
    facts: ['It opens at noon', 'The menu has four pages', 'It seats thirty people', 'The kitchen is behind the bar'],
  },
  {
    name: 'hotel',
    whole: ['hotel', 'inn', 'guesthouse'],
    parts: { room: 'room', bed: 'room', lobby: 'room', breakfast: 'food', porter: 'person', receptionist: 'person' },
    goodEnds: ['We stayed two more nights', 'I slept like a stone', 'We will book it again', 'I thanked the owner'],
    badEnds: ['We left after one night', 'I hardly slept', 'We will never book it again', 'I complained to the owner'],
    facts: [
      'It has three floors',
      'The keys are made of brass',
      'Breakfast is from seven to ten',
      'It stands next to the station',
    ],
  },
  {
    name: 'book',
    whole: ['book', 'novel', 'paperback'],
    parts: { plot: 'story', ending: 'story', hero: 'person', dialogue: 'story', cover: 'any', chapter: 'story' },
    goodEnds: [
      'I read it twice',
      'I gave a copy to my sister',
      'I could not put it down',
      'I want to read the next one',
    ],
    badEnds: ['I gave up halfway', 'I left it on the train', 'I fell asleep over it', 'I want my money back'],
    facts: [
      'It has twelve chapters',
      'It is set in a harbour town',
      'The author lives in the north',
      'It was printed last spring',
    ],
  },
  {
    name: 'film',
    whole: ['film', 'movie', 'picture'],
    parts: { plot: 'story', ending: 'story', actor: 'person', music: 'story', scene: 'story', dialogue: 'story' },
    goodEnds: [
      'The whole hall clapped',
      'I watched it again on Sunday',
      'I told all my friends to see it',
      'We stayed until the last line',
    ],
    badEnds: [
      'Half the hall walked out',
      'I looked at my watch all the time',
      'I told all my friends to skip it',
      'We left before the end',
    ],
    facts: ['It lasts two hours', 'It was shot in black and white', 'It begins in a bakery', 'It has no words at all'],
  },
  {
    name: 'phone',
    whole: ['phone', 'handset'],
    parts: {
      camera: 'device',
      screen: 'device',
      battery: 'device',
      keyboard: 'device',
      speaker: 'device',
      case: 'device',
    },
    goodEnds: [
      'I bought one for my mother',
      'I use it every day with joy',
      'I would buy it again',
      'I keep showing it to people',
    ],
    badEnds: [
      'I took it back to the shop',
      'It lies in a drawer now',
      'I would not buy it again',
      'I went back to my old one',
    ],
    facts: [
      'It weighs as much as an apple',
      'It comes in grey and green',
      'The box holds a cable',
      'It has two buttons on the side',
    ],
  },
  {
    name: 'train',
    whole: ['train', 'express', 'railway'],
    parts: { journey: 'trip', seat: 'room', conductor: 'person', carriage: 'room', connection: 'trip', snack: 'food' },
    goodEnds: [
      'We arrived with a smile',
      'I will take it every week',
      'We got there early',
      'I recommend it to everyone',
    ],
    badEnds: [
      'We missed our meeting',
      'I will take the bus from now on',
      'We arrived with a headache',
      'I warn everyone about it',
    ],
    facts: ['It stops in six towns', 'It leaves from platform two', 'It runs on weekdays', 'A ticket costs nine coins'],
  },
  {
    name: 'course',
    whole: ['course', 'class', 'workshop'],
    parts: {
      teacher: 'person',
      lesson: 'story',
      classroom: 'room',
      textbook: 'story',
      homework: 'trip',
      tutor: 'person',
    },
    goodEnds: [
      'I learned a lot',
      'I signed up for the next part',
      'We all passed the test',
      'I was sad when it was over',
    ],
    badEnds: [
      'I learned nothing',
      'I stopped going after a week',
      'We all failed the test',
      'I was glad when it was over',
    ],
    facts: [
      'It takes ten weeks',
      'It meets on Tuesday evening',
      'There are eight people in it',
      'It is taught in the old library',
    ],
  },
  {
    name: 'bicycle',
    whole: ['bicycle', 'bike'],
    parts: { saddle: 'device', brake: 'device', bell: 'device', frame: 'device', ride: 'trip', light: 'device' },
    goodEnds: [
      'I ride it to work every day',
      'My brother wants one too',
      'I sold my car',
      'I take it on every holiday',
    ],
    badEnds: [
      'It stands in the cellar now',
      'My brother laughed at it',
      'I walk to work again',
      'I sold it for half the price',
    ],
    facts: ['It has seven gears', 'It is painted dark blue', 'The basket is made of wire', 'It came in a large box'],
  },
];

export const intensifiers: readonly string[] = ['very', 'really', 'quite', 'truly', 'rather', 'so'];
export const people: readonly string[] = [
  'my sister',
  'my brother',
  'my friend',
  'my aunt',
  'my neighbour',
  'a colleague',
];
export const days: readonly string[] = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
export const streets: readonly string[] = [
  'Mill Street',
  'Hill Road',
  'Park Lane',
  'Bridge Street',
  'Church Square',
  'River Road',
];
export const months: readonly string[] = ['January', 'March', 'May', 'June', 'August', 'October', 'December'];
export const colours: readonly string[] = [
  'red',
  'blue',
  'green',
  'yellow',
  'black',
  'white',
  'brown',
  'grey',
  'orange',
  'pink',
];
export const objects: readonly string[] = [
  'cup',
  'bag',
  'hat',
  'lamp',
  'chair',
  'door',
  'boat',
  'coat',
  'box',
  'key',
  'ball',
  'plate',
  'shoe',
  'kite',
  'bottle',
  'pencil',
];
export const animals: readonly string[] = [
  'cat',
  'dog',
  'horse',
  'bird',
  'mouse',
  'goat',
  'duck',
  'fox',
  'bear',
  'frog',
];
export const names: readonly string[] = [
  'Anna',
  'Ben',
  'Clara',
  'David',
  'Ella',
  'Finn',
  'Grace',
  'Hugo',
  'Iris',
  'Jonas',
  'Kim',
  'Leo',
  'Mara',
  'Nils',
  'Olga',
  'Paul',
];
export const numbers: readonly string[] = [
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
];
export const opposites: readonly (readonly [string, string])[] = [
  ['hot', 'cold'],
  ['big', 'small'],
  ['up', 'down'],
  ['open', 'closed'],
  ['early', 'late'],
  ['long', 'short'],
  ['full', 'empty'],
  ['old', 'new'],
  ['dry', 'wet'],
  ['loud', 'quiet'],
  ['heavy', 'light'],
  ['positive', 'negative'],
  ['left', 'right'],
  ['day', 'night'],
  ['first', 'last'],
  ['wide', 'narrow'],
  ['hard', 'soft'],
  ['near', 'far'],
  ['pure', 'mixed'],
  ['partial', 'neutral'],
];
