"""What every layer of a network makes of a slice."""

import streamlit as st

from covid_core.ui.admission import admit
from covid_core.ui.background import start_tensorflow
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.networks import pick_network, trained_networks
from covid_core.ui.readout import draw_readout
from covid_core.ui.slices import pick_second_slice, pick_slice

ONE, SLICES, NETWORKS, DEPTH = VIEWS = ("One slice", "Two slices", "Two networks", "Over depth")

frame("Activations", "What every layer between input and output makes of a slice, channel by channel.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    picker, preparation = st.container(), st.container()  # the second holds what is being loaded, as on Grad-CAM's page
    with picker:
        trained = trained_networks()
        network = pick_network(trained)
    if network is None:
        st.stop()
    with preparation:
        start_tensorflow()
        from covid_core.explain.activation_statistics import channel_order, channel_statistics
        from covid_core.ui import activation_channel, activation_compare, activation_depth, activation_views, inference
        from covid_core.ui.activation_layers import draw_facts, note_drawn, pick_layer
        from covid_core.ui.excitation import draw_excitation

        layers = inference.layers_of(network)

view = choose(st.segmented_control, "Show", list(VIEWS), "view", default=ONE, required=True)
other = pick_second_slice() if view in (SLICES, DEPTH) else None
layer = None
if view != NETWORKS:
    layer = pick_layer(layers)
    draw_facts(layer, len(layers))

with shown_errors():
    admit(network, chosen, *([other] if other else []))
place = st.empty()  # while the next maps are computed, nothing of the last ones stands
if view == ONE:
    with shown_errors(), place, st.spinner("Computing the maps …"):
        maps = inference.activation_maps(network, chosen, layer.number)
    with place.container():
        if maps.ndim == 3:
            statistics = channel_statistics(maps)
            grid = activation_views.choose_grid()
            order = channel_order(statistics, grid.order).tolist()
            channels = order[activation_views.pick_page(len(order), grid)]
        picture_pane, maps_pane = activation_views.panes(2)
        picture = inference.seen_by(network, chosen)
        picture_pane.image(picture, caption="The slice as the network sees it", width="stretch")
        with maps_pane:
            if maps.ndim == 1:
                activation_views.draw_vector(maps, layer, network.classes if layer is layers[-1] else None)
            else:
                scale = activation_views.layer_scale(statistics)
                key = f"grid-{network.spec.name}-{layer.number}-{channels[0]}"
                chart = activation_views.grid_chart(maps, statistics, channels, grid, scale)
                with st.container(key="channel_grid"):
                    activation_views.draw_grid(chart, channels, key)
                st.caption(
                    f"{activation_views.channels_text(channels, len(order), grid)}. "
                    f"{activation_views.dead_text(statistics)} Click a channel to open it below."
                )
                activation_views.draw_scale(grid, *scale)
        if maps.ndim == 3:
            st.subheader("One channel", anchor=False)
            activation_channel.draw_channel(network, maps, statistics, layer, chosen)
        elif len(maps) > 1:
            st.subheader("One unit", anchor=False)
            draw_excitation(network, layer, activation_channel.pick_channel(len(maps), "Unit"))
elif view == SLICES:
    with shown_errors(), place.container():
        if other is None:
            st.info("Choose a second slice to compare with the first.", icon=":material/info:")
        elif not layer.is_spatial:
            st.info(
                "This layer gives one number a unit. Choose one before the global pooling, or look at its bars for one "
                "slice at a time.",
                icon=":material/info:",
            )
        else:
            activation_compare.draw_two_slices(network, layer, chosen, other)
elif view == NETWORKS:
    with shown_errors(), place.container():
        activation_compare.draw_two_networks(network, layers, chosen, trained)
else:
    with shown_errors(), place.container():
        activation_depth.draw_depth(network, layer, chosen, other)
    st.subheader("Where the decision appears", anchor=False)
    draw_readout(network.spec.name, network.card.sha256 if network.card else None)
note_drawn()
