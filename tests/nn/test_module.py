"""Module: registration, paths in the graph, state dicts, and the printout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value


class Block(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(3, 3)
        self.scale = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x):
        return self.linear(x) * self.scale


class Model(nn.Module):
    def __init__(self):
        self.blocks = [Block(), Block()]
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def scopes_of(root):
    return {node.scope for node in tg.topological_order(root) if not node.is_leaf}


def test_parameters_of_submodules_and_of_lists_of_modules_are_found():
    names = [name for name, _ in Model().named_parameters()]
    blocks = [f"blocks.{i}.{p}" for i in (0, 1) for p in ("scale", "linear.weight", "linear.bias")]
    assert names == [*blocks, "head.weight", "head.bias"]


def test_a_list_of_values_is_registered_as_parameters():
    class Line(nn.Module):
        def __init__(self):
            self.w = [Value(1.0), Value(2.0)]

    assert [name for name, _ in Line().named_parameters()] == ["w.0", "w.1"]


def test_a_list_of_modules_cannot_be_appended_to_unnoticed():
    with pytest.raises(AttributeError):
        Model().blocks.append(Block())


def test_an_intermediate_result_set_as_attribute_is_no_parameter():
    block = Block()
    block.last = block(np.ones((1, 3), np.float32))
    assert len(block.parameters()) == 3


def test_setting_or_deleting_an_attribute_forgets_the_old_parameters():
    model = Model()
    model.blocks = [Block()]
    del model.head
    assert len(model.parameters()) == 3
    model.blocks = None
    assert model.parameters() == []


def test_a_parameter_set_anew_keeps_its_place():
    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(np.ones((2, 2)))
    assert [name for name, _ in linear.named_parameters()] == ["weight", "bias"]


def test_a_shared_parameter_is_listed_once():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]


def test_a_parameter_is_a_copy_of_the_data_it_was_given():
    data = np.ones(3)
    parameter = nn.Parameter(data)
    parameter.data += 1
    assert data.tolist() == [1, 1, 1]
    assert parameter.requires_grad


def test_every_node_carries_the_path_of_the_module_that_made_it():
    y = Model()(np.ones((1, 3), np.float32)).sum()
    assert scopes_of(y) == {
        "",
        "blocks.0",
        "blocks.0.linear",
        "blocks.1",
        "blocks.1.linear",
        "head",
    }


def test_a_module_used_in_two_models_is_named_by_the_one_that_runs():
    model = Model()
    small = nn.Sequential(model.head)
    x = np.ones((1, 3), np.float32)
    assert scopes_of(small(x)) == {"0"}
    assert "head" in scopes_of(model(x))


def test_a_module_that_no_attribute_holds_is_named_by_its_class():
    hidden = [nn.Linear(3, 3)]

    class Wrapper(nn.Module):
        def forward(self, x):
            return hidden[0](x)

    assert scopes_of(nn.Sequential(Wrapper())(np.ones((1, 3), np.float32))) == {"0.Linear"}


def test_the_scope_is_restored_when_forward_fails():
    model = Model()
    with pytest.raises(tg.ShapeError, match=r"linear in blocks\.0\.linear .* 3 in_features"):
        model(np.ones((1, 4), np.float32))
    assert (Value(1.0) + 1).scope == ""
    assert "head" in scopes_of(model(np.ones((1, 3), np.float32)))


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    assert not any(m.training for _, m in model.eval().named_modules())
    assert all(m.training for _, m in model.train().named_modules())


def test_zero_grad_clears_tensors_and_values():
    linear, neuron = nn.Linear(2, 1), nn.Neuron(2)
    linear(np.ones((1, 2), np.float32)).sum().backward()
    neuron([1.0, 2.0]).backward()
    linear.zero_grad()
    neuron.zero_grad()
    assert [p.grad for p in linear.parameters()] == [None, None]
    assert [p.grad for p in neuron.parameters()] == [0.0, 0.0, 0.0]


@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_a_state_dict_makes_another_model_compute_the_same(sizes):
    model, other = nn.zoo.feedforward(sizes), nn.zoo.feedforward(sizes)
    other.load_state_dict(model.state_dict())
    x = np.ones((2, sizes[0]), np.float32)
    np.testing.assert_array_equal(model(x).data, other(x).data)


def test_a_state_dict_of_values_goes_back_and_forth():
    model, other = nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])
    other.load_state_dict(model.state_dict())
    assert model([0.3, -0.2]).data == other([0.3, -0.2]).data


def test_a_state_dict_is_a_copy():
    linear = nn.Linear(2, 1)
    state = linear.state_dict()
    state["bias"] += 1
    assert linear.bias.data == 0


def test_a_state_dict_that_does_not_fit_names_everything_wrong_and_loads_nothing():
    model = nn.zoo.feedforward([3, 4, 2])
    before = model.state_dict()
    state = {
        **{k: v + 1 for k, v in before.items()},
        "linear1.weight": np.zeros((3, 4)),
        "9.bias": 0.0,
    }
    del state["linear2.bias"]
    with pytest.raises(nn.StateDictError) as failure:
        model.load_state_dict(state)
    assert failure.value.missing == ["linear2.bias"]
    assert failure.value.unexpected == ["9.bias"]
    assert failure.value.mismatched == {"linear1.weight": ((4, 3), (3, 4))}
    for word in ("linear2.bias", "9.bias", "linear1.weight", "(4, 3)", "(3, 4)"):
        assert word in str(failure.value)
    for name, data in model.state_dict().items():
        np.testing.assert_array_equal(data, before[name])


def test_what_does_not_match_is_named_in_the_order_of_the_model():
    model = nn.zoo.feedforward([2, *range(3, 9), 2])  # enough names that no set keeps their order
    wrong = {name: np.zeros((1, 1, 1)) for name in reversed(model.state_dict())}
    with pytest.raises(nn.StateDictError) as failure:
        model.load_state_dict(wrong)
    assert list(failure.value.mismatched) == list(model.state_dict())


def test_a_state_dict_of_text_is_refused_before_anything_is_loaded():
    linear = nn.Linear(1, 1)
    before = linear.state_dict()
    with pytest.raises(nn.StateDictError, match=r"weight.*<U1"):
        linear.load_state_dict({"bias": np.ones(1), "weight": np.array([["a"]])})
    assert linear.state_dict() == before


def test_the_printout_shows_shapes_and_counts_and_folds_equal_neurons():
    text = repr(nn.MLP(2, [16, 1]))
    assert "(neurons.0 to neurons.15): Neuron(2 inputs, relu): 3" in text
    assert "65 parameters" in text  # 16 * (2 + 1) + 16 + 1
    assert "weight (4, 3), bias (4,): 16" in repr(nn.zoo.feedforward([3, 4, 2]))


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match=r"Module has no forward\(\)"):
        nn.Module()(1)


def test_a_frozen_parameter_gets_no_gradient():
    linear = nn.Linear(2, 1)
    linear.weight.requires_grad = False
    linear(Tensor([[1.0, 2.0]])).sum().backward()
    assert linear.weight.grad is None
    assert linear.bias.grad is not None


class Counter(nn.Module):
    def __init__(self):
        self.register_buffer("seen", np.zeros((), np.int64))
        self.register_buffer("mean", np.zeros(2, np.float32))
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        self.seen = self.seen + 1
        return self.linear(x)


def test_a_buffer_is_state_and_no_parameter():
    module, other = Counter(), Counter()
    module(np.ones((1, 2), np.float32))
    assert list(module.state_dict()) == ["linear.weight", "linear.bias", "seen", "mean"]
    assert len(module.parameters()) == 2
    other.load_state_dict(module.state_dict())
    assert other.seen == 1
    assert nn.Sequential(other).state_dict()["0.seen"] == 1


def test_a_buffer_cannot_take_the_name_of_something_else():
    with pytest.raises(nn.ConfigurationError, match="'weight' already"):
        nn.Linear(1, 1).register_buffer("weight", np.ones(1))


def test_a_buffer_that_becomes_something_else_is_forgotten():
    module = Counter()
    del module.mean
    assert "mean" not in module.state_dict()


def test_to_casts_parameters_and_buffers_of_floats():
    module = Counter().to(np.float64)
    dtypes = {name: array.dtype.name for name, array in module.state_dict().items()}
    assert dtypes == {
        "linear.weight": "float64",
        "linear.bias": "float64",
        "seen": "int64",
        "mean": "float64",
    }


def test_a_state_dict_may_be_partial_if_not_strict():
    linear = nn.Linear(2, 1)
    linear.load_state_dict({"bias": np.array([7.0]), "other": 1.0}, strict=False)
    assert linear.bias.data.tolist() == [7]


def test_apply_reaches_every_module_inner_ones_first():
    seen = []
    model = Model()
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen[-1] == "Model"
    assert seen.count("Block") == 2


def test_freezing_a_part_keeps_gradients_from_it_alone():
    model = Model()
    model.blocks[0].freeze()
    model(np.ones((1, 3), np.float32)).sum().backward()
    with_gradient = [name for name, p in model.named_parameters() if p.grad is not None]
    assert not any(name.startswith("blocks.0") for name in with_gradient)
    assert len(with_gradient) == 5
    model.unfreeze()
    assert all(p.requires_grad for p in model.parameters())


def test_a_submodule_is_found_by_its_path():
    model = Model()
    assert model.get_submodule("blocks.1.linear") is model.blocks[1].linear
    with pytest.raises(tg.UnknownNameError, match=r"blocks\.2.*Did you mean"):
        model.get_submodule("blocks.2")


def test_options_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, *, by=1.0):
            return x * by

    assert Scaled()(2.0, by=3.0) == 6.0
